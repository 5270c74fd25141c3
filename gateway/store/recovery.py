"""Damaged files: set aside under a name that tells when, never deleted, never in the way of polling."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from gateway.store.database import open_reader
from gateway.store.errors import is_corrupt
from gateway.store.history import month_files

log = logging.getLogger(__name__)
T = TypeVar("T")


def set_aside(path: Path, at_ns: int) -> Path:
    """Rename a damaged database, its WAL with it, and tell the new name."""
    name = Path(f"{path}.corrupt-{at_ns // 1_000_000_000}")
    while name.exists():
        name = Path(f"{name}x")
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{name}{suffix}")
    Path(f"{path}-shm").unlink(missing_ok=True)
    log.error("%s is damaged; set aside as %s", path.name, name.name)
    return name


def open_or_replace(path: Path, opener: Callable[[], T], at_ns: int) -> tuple[T, Path | None]:
    """Open a database; a damaged one is set aside, and an empty one comes with the name it got."""
    try:
        return opener(), None
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise
        aside = set_aside(path, at_ns)
        return opener(), aside


def noted_head(folder: Path) -> tuple[int, int, int]:
    """The highest journal seq that the history knows of, with the running totals noted there."""
    best = (0, 0, 0)
    for _, path in month_files(folder):
        with suppress(sqlite3.Error), closing(open_reader(path)) as db:
            notes = dict(db.execute("SELECT key, value FROM note").fetchall())
            found = (int(notes.get("seq", 0)), int(notes.get("samples", 0)), int(notes.get("facts", 0)))
            best = max(best, found)
    return best


def highest_series(folder: Path) -> int:
    """The highest series id that the history holds: a lost catalogue must not hand it out again."""
    highest = 0
    for _, path in month_files(folder):
        with suppress(sqlite3.Error), closing(open_reader(path)) as db:
            for table in ("chunk", "interval"):
                row = db.execute(f"SELECT max(series) FROM {table}").fetchone()  # noqa: S608 - own names
                highest = max(highest, int(row[0] or 0))
    return highest
