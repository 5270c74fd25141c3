"""What can still be read of a damaged journal: whole rows whose CRC32C holds, and the sinks' progress."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from gateway.store.journal import COLUMNS, Head, Row
from gateway.store.progress import KnownSink, read_sink, write_sink

log = logging.getLogger(__name__)

_SPAN = 256
"""Seq looked at together; a span that cannot be read is halved down to the row that is damaged."""
_GIVE_UP = 64
"""So many whole spans unreadable, one after the other, and the rest is not tried: nothing will be there."""


def salvage_rows(path: Path, last: int) -> Iterator[list[Row]]:
    """Intact rows up to `last`, newest first in spans (the newest are the least likely to be sent yet).

    A lone -wal is read with it. Yields empty lists where there is nothing, so that the caller can breathe.
    """
    with suppress(sqlite3.Error), closing(_open(path)) as db:
        oldest = _oldest(db)
        fruitless = 0
        while last >= oldest and fruitless < _GIVE_UP:
            first = max(oldest, last - _SPAN + 1)
            rows = [row for row in _rows(db, first, last) if row.is_intact()]
            fruitless = 0 if rows else fruitless + 1
            yield rows
            last = first - 1


def salvage_head(path: Path) -> Head | None:
    """Where a damaged journal had come to: its newest seq, with the totals of its newest intact row."""
    with suppress(sqlite3.Error), closing(_open(path)) as db:
        newest = int(db.execute("SELECT max(seq) FROM journal").fetchone()[0])
        for row in reversed(_rows(db, newest - _SPAN + 1, newest)):
            if row.is_intact():
                return Head(newest, row.samples, row.facts)
    return None


def salvage_mark(path: Path) -> int | None:
    """Up to where a damaged journal had been compacted, if that can be read."""
    with suppress(sqlite3.Error), closing(_open(path)) as db:
        row = db.execute("SELECT value FROM note WHERE key='compacted'").fetchone()
        return int(row[0]) if row else 0
    return None


def salvage_sinks(path: Path, into: sqlite3.Connection) -> None:
    """Bring the sinks' progress and the dead letters over, inside the caller's transaction.

    A progress that cannot be read is left out: that sink will be sent everything that is kept again, which
    stores nothing twice at the database.
    """
    with suppress(sqlite3.Error), closing(_open(path)) as db:
        for name, known in _sinks(db):
            write_sink(into, name, known.progress, known.acknowledged)
        letters = db.execute("SELECT sink, seq, line, reason, time FROM dead_letter").fetchall()
        into.executemany("INSERT INTO dead_letter(sink, seq, line, reason, time) VALUES(?,?,?,?,?)", letters)


def _open(path: Path) -> sqlite3.Connection:
    """Opened for writing because its WAL may have to be read; nothing is written into it."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA query_only=ON")
    return db


def _sinks(db: sqlite3.Connection) -> Iterator[tuple[str, KnownSink]]:
    for (name,) in db.execute("SELECT name FROM sink").fetchall():
        with suppress(sqlite3.Error, msgspec.DecodeError):
            known = read_sink(db, name)
            if known is not None:
                yield name, known


def _oldest(db: sqlite3.Connection) -> int:
    with suppress(sqlite3.Error):
        row = db.execute("SELECT min(seq) FROM journal").fetchone()
        return int(row[0] or 1)
    return 1


def _rows(db: sqlite3.Connection, first: int, last: int) -> list[Row]:
    query = f"SELECT {COLUMNS} FROM journal WHERE seq BETWEEN ? AND ?"  # noqa: S608 - own constant
    try:
        return [Row(*found) for found in db.execute(query, (first, last))]
    except (sqlite3.Error, TypeError):
        if first == last:
            return []
    middle = (first + last) // 2
    return _rows(db, first, middle) + _rows(db, middle + 1, last)
