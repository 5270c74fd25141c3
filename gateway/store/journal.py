"""The journal: one row a commit, the durable log and the outbox at once.

Invariants, held by tests/gateway/store/test_store_model.py:

 1. A seq is given out once. It rises by one with each row and never restarts, not after retention has
    emptied the table (the newest row always stays) and not after the file was lost (the new one starts
    above everything the history has noted).
 2. What was acknowledged to an appender is here or, once compacted and settled by all sinks, in the
    history: at no moment in neither. Only retention by policy ends this, and it counts what it drops.
 3. A row never changes. Its CRC32C covers seq, time, kind, n and payload; a row that fails it is skipped
    and counted, never guessed.
 4. `samples` and `facts` are running totals up to and including the row: totals outlive the rows.
 5. Rows go oldest first, only up to the compactor's mark and every sink's low water.
 6. Revisable facts are journalled as keys, after their revision is stored. A key is sent with the newest
    revision, by the newest row that names it: a backlog never overwrites new with old.
 7. A sink's progress and the dead letters live in this file, so that they stand or fall with the rows.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import google_crc32c

from gateway.store.database import open_writer, transaction

SCHEMA = """
CREATE TABLE IF NOT EXISTS journal(
    seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL, n INTEGER NOT NULL,
    samples INTEGER NOT NULL, facts INTEGER NOT NULL, crc INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sink(
    name TEXT PRIMARY KEY, low_water INTEGER NOT NULL, acked BLOB NOT NULL,
    samples INTEGER NOT NULL, facts INTEGER NOT NULL, imported INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letter(
    id INTEGER PRIMARY KEY, sink TEXT NOT NULL, seq INTEGER NOT NULL, line TEXT NOT NULL,
    reason TEXT NOT NULL, time INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS note(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

_HEAD = struct.Struct("<qqBqqq")
_PACE_ROWS = 1000
_PACE_SPAN_NS = 60 * 1_000_000_000


class RowKind(IntEnum):
    """What a row's payload is. Codes are on disk: never renumbered."""

    SAMPLES = 1
    RECORDS = 2
    INTERVAL_KEYS = 3
    IMPORTED_KEYS = 4
    RECORD_KEYS = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """A row that has no seq yet. n: samples or facts inside."""

    kind: RowKind
    n: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """A journal row as stored. samples, facts: running totals, this row included."""

    seq: int
    time: int
    kind: int
    n: int
    samples: int
    facts: int
    crc: int
    payload: bytes

    def is_intact(self) -> bool:
        return self.crc == _crc(self)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the journal stands: the newest seq and the running totals there."""

    seq: int = 0
    samples: int = 0
    facts: int = 0


COLUMNS = "seq, time, kind, n, samples, facts, crc, payload"


def _crc(row: Row) -> int:
    head = _HEAD.pack(row.seq, row.time, row.kind & 0xFF, row.n, row.samples, row.facts)
    return int(google_crc32c.extend(google_crc32c.value(head), row.payload))


def make_rows(head: Head, drafts: Sequence[Draft], at_ns: int) -> list[Row]:
    """Give drafts their seq, totals and CRC, following `head`."""
    rows: list[Row] = []
    seq, samples, facts = head.seq, head.samples, head.facts
    for draft in drafts:
        seq += 1
        if draft.kind is RowKind.SAMPLES:
            samples += draft.n
        else:
            facts += draft.n
        bare = Row(seq, at_ns, int(draft.kind), draft.n, samples, facts, 0, draft.payload)
        rows.append(Row(seq, at_ns, bare.kind, bare.n, samples, facts, _crc(bare), draft.payload))
    return rows


class Journal:
    """The journal's writing side; owned by the writer thread."""

    def __init__(self, path: Path, floor: Head = Head()) -> None:
        """Open or create. floor: what a new journal continues from (invariant 1).

        Raises sqlite3.DatabaseError when the file is damaged.
        """
        self.path = path
        self.db = open_writer(path, SCHEMA)
        try:
            self.head = self._read_head()
            self.raise_head(floor)
        except BaseException:
            self.db.close()
            raise

    def insert(self, rows: Iterable[Row], *, older: bool = False) -> None:
        """Add rows durably; the caller has made them with `make_rows` from `head`.

        older: recovered rows from before the head. Repeating it is harmless: after a failed fsync nobody
        knows whether the rows are there.
        """
        with transaction(self.db):
            last = None
            for last in rows:
                self.db.execute(
                    "INSERT OR REPLACE INTO journal VALUES(?,?,?,?,?,?,?,?)",
                    (
                        last.seq,
                        last.time,
                        last.kind,
                        last.n,
                        last.samples,
                        last.facts,
                        last.crc,
                        last.payload,
                    ),
                )
        if last is not None and not older:
            self.head = Head(last.seq, last.samples, last.facts)

    def note(self, key: str, default: int = 0) -> int:
        row = self.db.execute("SELECT value FROM note WHERE key=?", (key,)).fetchone()
        return int(row[0]) if row else default

    def set_note(self, key: str, value: int) -> None:
        """Set inside the caller's transaction."""
        self.db.execute("INSERT OR REPLACE INTO note VALUES(?,?)", (key, value))

    def oldest(self) -> int:
        """The oldest seq that is kept; 0 when there is none."""
        row = self.db.execute("SELECT min(seq) FROM journal").fetchone()
        return int(row[0] or 0)

    def close(self) -> None:
        self.db.close()

    def raise_head(self, floor: Head) -> None:
        """Let the next seq be above `floor`, if it is not already."""
        if self.head.seq >= floor.seq:
            return
        with transaction(self.db):
            self.set_note("base_seq", floor.seq)
            self.set_note("base_samples", floor.samples)
            self.set_note("base_facts", floor.facts)
        self.head = floor

    def _read_head(self) -> Head:
        row = self.db.execute("SELECT seq, samples, facts FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
        base = Head(self.note("base_seq"), self.note("base_samples"), self.note("base_facts"))
        return max(Head(*row), base, key=lambda head: head.seq) if row else base


def read_rows(db: sqlite3.Connection, first: int, last: int, limit_n: int) -> tuple[list[Row], bool]:
    """Rows from first to last, as many as hold about `limit_n` samples and facts, at least one.

    Second: whether that is all there is up to `last`.
    """
    rows: list[Row] = []
    total = 0
    cursor = db.execute(
        f"SELECT {COLUMNS} FROM journal WHERE seq BETWEEN ? AND ? ORDER BY seq",  # noqa: S608 - own constant
        (first, last),
    )
    for found in cursor:
        row = Row(*found)
        if rows and total + row.n > limit_n:
            cursor.close()
            return rows, False
        rows.append(row)
        total += row.n
    return rows, True


def bytes_per_s(db: sqlite3.Connection) -> float | None:
    """The pace at which the newest rows were written [bytes/s]; None while they span less than a minute."""
    row: tuple[int | None, int, int] = db.execute(
        "SELECT sum(size + ?), min(time), max(time) FROM "
        "(SELECT length(payload) AS size, time FROM journal ORDER BY seq DESC LIMIT ?)",
        (_HEAD.size, _PACE_ROWS),
    ).fetchone()
    size, begin, end = row
    if size is None or end - begin < _PACE_SPAN_NS:
        return None
    return float(size) / ((end - begin) / 1e9)
