"""`heyzack validate`: every mistake of a configuration, with its line and what to write instead."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.config.errors import Problem, Severity


@click.command("validate")
@click.argument("folder", type=click.Path(path_type=Path), envvar="HEYZACK_CONFIG", default=".")
@click.option("--json", "as_json", is_flag=True, help="One JSON list of problems.")
def command(folder: Path, as_json: bool) -> None:
    """Check the configuration in FOLDER (default: $HEYZACK_CONFIG, else here). Touches no network.

    Exit code 0: usable (there may be warnings). 1: it has errors. 2: it cannot be read.
    """
    from gateway.config import UnreadableError, check

    try:
        problems: Sequence[Problem] = check(folder)
        code = 1 if any(problem.severity is Severity.ERROR for problem in problems) else 0
    except UnreadableError as error:
        problems, code = error.problems, 2
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(problem) for problem in problems], indent=2))
    else:
        _print(folder, problems)
    raise SystemExit(code)


def _print(folder: Path, problems: Sequence[Problem]) -> None:
    for problem in problems:
        mark = "warning: " if problem.severity is Severity.WARNING else ""
        click.echo(f"{mark}{problem}")
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    warnings = len(problems) - errors
    if errors:
        click.echo(
            f"{folder}: {_count(errors, 'error')}" + (f", {_count(warnings, 'warning')}" if warnings else "")
        )
    else:
        click.echo(f"{folder}: fine" + (f", {_count(warnings, 'warning')}" if warnings else ""))


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
