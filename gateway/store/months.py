"""The month files' writing side: a few open at a time, damaged ones set aside."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gateway.store.codec import Codec
from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.database import open_writer, transaction
from gateway.store.errors import CorruptBlobError, is_corrupt
from gateway.store.history import (
    RESOLUTION_CODES,
    SCHEMA,
    Block,
    MonthKey,
    block_of,
    checksum,
    encode_block,
    merge_blocks,
    month_path,
    read_block,
    split_by_month,
    take_intervals,
)
from gateway.store.journal import Draft, RowKind
from gateway.store.pace import Pace
from gateway.store.recovery import open_or_replace, set_aside

_OPEN_FILES = 3
KEYS_PER_ROW = 5000


class Months:
    """Owned by the writer thread."""

    def __init__(self, folder: Path, now: Callable[[], int], quarantined: Callable[[int], None]) -> None:
        """quarantined: told how many files or blocks were found damaged."""
        self.folder = folder
        self._now = now
        self._quarantined = quarantined
        self._open: OrderedDict[MonthKey, sqlite3.Connection] = OrderedDict()

    def get(self, month: MonthKey) -> sqlite3.Connection:
        """The month's connection, created or reopened. Raises sqlite3.OperationalError."""
        known = self._open.pop(month, None)
        if known is None:
            known = self._open_file(month)
        self._open[month] = known
        while len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        return known

    def _open_file(self, month: MonthKey) -> sqlite3.Connection:
        path = month_path(self.folder, month)
        db, aside = open_or_replace(path, lambda: open_writer(path, SCHEMA), self._now())
        if aside:
            self._quarantined(1)
        return db

    def discard(self, month: MonthKey) -> None:
        """Close a month; it may then be deleted."""
        db = self._open.pop(month, None)
        if db is not None:
            db.close()

    def quarantine(self, month: MonthKey, error: sqlite3.DatabaseError) -> bool:
        """Set a month aside when the error says that its file is damaged; whether it did."""
        if not is_corrupt(error):
            return False
        self.discard(month)
        set_aside(month_path(self.folder, month), self._now())
        self._quarantined(1)
        return True

    def close(self) -> None:
        for month in list(self._open):
            self.discard(month)

    def put_intervals(
        self, codec: Codec, month: MonthKey, parts: Sequence[IntervalBlock], seq: int, kind: RowKind
    ) -> tuple[list[Draft], list[int]]:
        """Store revisions durably, with the journal rows that must follow.

        seq: the seq that the first of these rows will get. Returns the rows and their ids in `pending`.
        Raises sqlite3.DatabaseError.
        """
        drafts = key_drafts(codec, parts, kind)
        db = self.get(month)
        named = 0
        with transaction(db):
            for part in Pace().over(parts):
                row_of_key = (named + np.arange(len(part.intervals), dtype=np.int64)) // KEYS_PER_ROW
                self._merge(db, codec, month, part, seq + row_of_key)
                named += len(part.intervals)
            ids = [add_pending(db, draft) for draft in drafts]
        return drafts, ids

    def _merge(
        self, db: sqlite3.Connection, codec: Codec, month: MonthKey, part: IntervalBlock, seq: np.ndarray
    ) -> None:
        code = RESOLUTION_CODES[part.resolution]
        blocks = block_of(code, month, part.intervals.start)
        for begin in np.unique(blocks):
            mask = blocks == begin
            new = Block(take_intervals(part.intervals, mask), seq[mask])
            merged = merge_blocks(self._old_block(db, codec, part.series, code, int(begin)), new)
            body = encode_block(codec, merged)
            db.execute(
                "INSERT OR REPLACE INTO interval VALUES(?,?,?,?,?,?)",
                (part.series, code, int(begin), len(merged.seq), checksum(body), body),
            )

    def _old_block(
        self, db: sqlite3.Connection, codec: Codec, series: int, code: int, begin: int
    ) -> Block | None:
        try:
            return read_block(db, codec, series, code, begin)
        except CorruptBlobError:
            self._quarantined(1)
            return None


def split_blocks(blocks: Sequence[IntervalBlock]) -> dict[MonthKey, list[IntervalBlock]]:
    """The blocks by the month file that takes them, in time order."""
    months: dict[MonthKey, list[IntervalBlock]] = {}
    for block in blocks:
        for month, mask in split_by_month(block.intervals.start):
            part: Intervals = block.intervals if mask is None else take_intervals(block.intervals, mask)
            months.setdefault(month, []).append(IntervalBlock(block.series, block.resolution, part))
    return dict(sorted(months.items()))


def key_drafts(codec: Codec, parts: Sequence[IntervalBlock], kind: RowKind) -> list[Draft]:
    """Journal rows that name each interval of the parts, in their order."""
    series = np.concatenate([np.full(len(p.intervals), p.series, np.int64) for p in parts])
    code = np.concatenate(
        [np.full(len(p.intervals), RESOLUTION_CODES[p.resolution], np.int64) for p in parts]
    )
    start = np.concatenate([p.intervals.start for p in parts])
    drafts = []
    for at in range(0, len(start), KEYS_PER_ROW):
        chosen = slice(at, at + KEYS_PER_ROW)
        payload = codec.encode([series[chosen], code[chosen], start[chosen]])
        drafts.append(Draft(kind, len(start[chosen]), payload))
    return drafts


def add_pending(db: sqlite3.Connection, draft: Draft) -> int:
    """Note, in the caller's transaction, a journal row that must follow; its id."""
    cursor = db.execute(
        "INSERT INTO pending(kind, n, payload) VALUES(?,?,?)", (int(draft.kind), draft.n, draft.payload)
    )
    return int(cursor.lastrowid or 0)


def pending_drafts(db: sqlite3.Connection) -> tuple[list[Draft], list[int]]:
    """Journal rows that a crash kept from following, oldest first, and their ids."""
    rows = db.execute("SELECT id, kind, n, payload FROM pending ORDER BY id").fetchall()
    return [Draft(RowKind(kind), n, payload) for _, kind, n, payload in rows], [row[0] for row in rows]


def clear_pending(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Forget journal rows that are durable. Needs no fsync: forgetting twice only sends twice."""
    with transaction(db, durable=False):
        db.executemany("DELETE FROM pending WHERE id=?", [(one,) for one in ids])
