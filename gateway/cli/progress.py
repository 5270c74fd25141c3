"""A progress bar on stderr while something takes its time; silent in pipes and with --json."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def steps(total: int | None, what: str, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """Yield a function that advances the bar by one. total None: only that it is alive."""
    if quiet or not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    with Progress(
        *columns, *([BarColumn(), MofNCompleteColumn()] if total else []),
        console=Console(stderr=True), transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def _nothing() -> None:
    """No bar, no step."""
