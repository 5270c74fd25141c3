"""The benchmarks run and say what they promise. Speeds are for `make evidence`, never for a test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.harness import cpu_turn, interleave, ratios

REPOSITORY = Path(__file__).parents[2]
FIGURES = {
    "modbus": {"points_per_s", "cpu_percent_20k", "late_percent", "rss_mb"},
    "bacnet": {"cpu_percent", "worst_stall_ms", "p99_stall_ms"},
    "mqtt": {"messages_per_s", "cpu_percent"},
}
REFERENCES = {
    "modbus": {"pymodbus"},
    "bacnet": {"bac0_read_multiple", "bacpypes3_rpm"},
    "mqtt": {"paho_json"},
}


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_benchmark_prints_one_json_object_with_the_promised_keys(name: str) -> None:
    if name == "mqtt" and not shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        pytest.skip("mosquitto is not installed (apt-get install it to run this test)")
    ended = benchmark(name, "--json", "--quick", "--seconds", "1")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["versions"]["python"]
    assert {"cpu", "cores", "kernel", "load_average"} <= report["machine"].keys()
    assert report["seconds"] > 0
    assert FIGURES[name] <= report.keys()
    assert report["ratios"].keys() == REFERENCES[name]
    assert all(ratio > 0 for ratio in report["ratios"].values())


def test_a_benchmark_that_is_not_written_yet_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "NAMES", ("tomorrow",))
    assert command.main(["tomorrow", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "tomorrow" in said.err


def test_candidates_take_turns_and_the_order_changes_every_round() -> None:
    turns: list[str] = []

    def turn(name: str, cost: float) -> float:
        turns.append(name)
        return cost

    candidates = {"ours": lambda: turn("ours", 1.0), "theirs": lambda: turn("theirs", 4.0)}
    medians = interleave(candidates, rounds=2, warm_up=0)
    assert turns == ["ours", "theirs", "theirs", "ours"]
    assert ratios(medians) == {"theirs": 0.25}


def test_the_warm_up_does_not_count() -> None:
    costs = iter([100.0, 1.0, 2.0, 3.0])
    assert interleave({"ours": lambda: next(costs)}, rounds=3, warm_up=1) == {"ours": 2.0}


def test_a_turn_without_work_is_an_error_and_no_fast_result() -> None:
    with pytest.raises(RuntimeError, match="did no work"):
        cpu_turn(lambda: 0)()
