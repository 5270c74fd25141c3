"""Each folder of tests/testcases/config is a configuration with what `heyzack validate` must say of it.

A mistake seen in the field becomes a folder: the smallest configuration that has it, and expected.json with
the exact file, line, column, message and remedy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

Validate = Callable[..., Result]
CASES = Path(__file__).parents[2] / "testcases" / "config"
NAMES = sorted(path.name for path in CASES.iterdir() if path.is_dir())
ACCEPTANCE = {
    "wrong_unit", "unknown_key", "duplicate_address", "bad_time_zone", "missing_secret",
    "overlapping_unit_ids", "unknown_template", "word_order_typo", "tab_in_yaml", "empty_file",
}  # fmt: skip


@pytest.fixture
def validate(monkeypatch: pytest.MonkeyPatch) -> Validate:
    """Runs `heyzack validate` inside the folder of cases, without secrets or variables of this machine."""
    monkeypatch.chdir(CASES)
    for name in ("HEYZACK_SECRETS_DIR", "CREDENTIALS_DIRECTORY", "HEYZACK_TEST_METER_HOST"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["validate", *arguments])

    return run


@pytest.mark.parametrize("name", NAMES)
def test_the_problems_are_exactly_these(name: str, validate: Validate) -> None:
    result = validate(name, "--json")
    found = json.loads(result.stdout)
    assert found == json.loads((CASES / name / "expected.json").read_text(encoding="utf-8"))
    assert result.exit_code == (1 if any(problem["severity"] == "error" for problem in found) else 0)


@pytest.mark.parametrize("name", sorted(ACCEPTANCE))
def test_a_single_mistake_is_a_single_error_with_a_line_and_a_remedy(name: str, validate: Validate) -> None:
    result = validate(name)
    first, summary = result.stdout.splitlines()
    file, line, column, message = first.split(":", 3)
    assert Path(CASES / file).is_file()
    assert (int(line), int(column)) > (0, 0)
    assert "; " in message
    assert summary == f"{name}: 1 error"
    assert result.exit_code == 1


def test_a_folder_that_is_not_there_is_exit_code_2(validate: Validate) -> None:
    result = validate("no-such-folder", "--json")
    (problem,) = json.loads(result.stdout)
    assert (problem["code"], problem["hint"]) == ("unreadable", "there is no such folder")
    assert result.exit_code == 2
