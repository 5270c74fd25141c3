"""A sink's progress as stored, and how much of the journal it newly covers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from gateway.store.journal import RowKind
from sync.outbox import SinkProgress

Range = tuple[int, int]
"""First and last seq, both inside."""

_to_ranges = msgspec.json.Decoder(tuple[tuple[int, int, int], ...]).decode


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Counts: raw samples, facts (records and interval revisions), and imported facts apart from both."""

    samples: int = 0
    facts: int = 0
    imported: int = 0

    def __add__(self, other: Acknowledged) -> Acknowledged:
        return Acknowledged(
            self.samples + other.samples, self.facts + other.facts, self.imported + other.imported
        )

    def __sub__(self, other: Acknowledged) -> Acknowledged:
        return Acknowledged(
            self.samples - other.samples, self.facts - other.facts, self.imported - other.imported
        )


@dataclass(frozen=True, slots=True)
class KnownSink:
    """What the journal keeps of a sink."""

    progress: SinkProgress
    acknowledged: Acknowledged


def read_sink(db: sqlite3.Connection, name: str) -> KnownSink | None:
    row = db.execute(
        "SELECT low_water, acked, samples, facts, imported FROM sink WHERE name=?", (name,)
    ).fetchone()
    if row is None:
        return None
    return KnownSink(SinkProgress(int(row[0]), _to_ranges(row[1])), Acknowledged(*row[2:]))


def write_sink(db: sqlite3.Connection, name: str, progress: SinkProgress, counts: Acknowledged) -> None:
    """Inside the caller's transaction."""
    db.execute(
        "INSERT OR REPLACE INTO sink VALUES(?,?,?,?,?,?)",
        (
            name,
            progress.low_water,
            msgspec.json.encode(progress.acked),
            counts.samples,
            counts.facts,
            counts.imported,
        ),
    )


def newly_covered(before: SinkProgress, after: SinkProgress) -> Iterator[Range]:
    """The seq that `after` covers and `before` does not, as ranges."""
    taken = _covered(before)
    for first, last in _covered(after):
        at = first
        for begin, end in taken:
            if end < at or begin > last:
                continue
            if begin > at:
                yield at, begin - 1
            at = max(at, end + 1)
        if at <= last:
            yield at, last


def count_covered(db: sqlite3.Connection, first: int, last: int) -> Acknowledged:
    """What the rows of a range hold."""
    counts = dict(
        db.execute("SELECT kind, sum(n) FROM journal WHERE seq BETWEEN ? AND ? GROUP BY kind", (first, last))
    )
    samples = int(counts.pop(int(RowKind.SAMPLES), 0))
    imported = int(counts.pop(int(RowKind.IMPORTED_KEYS), 0))
    return Acknowledged(samples, int(sum(counts.values())), imported)


def count_within(db: sqlite3.Connection, first: int, last: int) -> int:
    """Samples and facts from the first kept row of a range to its last, by their running totals."""
    begin = db.execute(
        "SELECT samples + facts - n FROM journal WHERE seq >= ? ORDER BY seq LIMIT 1", (first,)
    ).fetchone()
    end = db.execute(
        "SELECT samples + facts FROM journal WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (last,)
    ).fetchone()
    return max(0, int(end[0]) - int(begin[0])) if begin and end else 0


def _covered(progress: SinkProgress) -> list[Range]:
    ranges: list[Range] = [(1, progress.low_water)] if progress.low_water > 0 else []
    ranges += [(first, last) for first, last, _ in progress.acked]
    return sorted(ranges)
