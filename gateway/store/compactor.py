"""From journal rows to chunks: sorted by series, small flushes merged, the seq noted in the same transaction.

The journal's own mark follows after all months are done. When a crash comes between, the months' notes
tell which rows each of them has already: nothing is stored twice.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drivers.base import Batch
from gateway.store.codec import Codec
from gateway.store.database import transaction
from gateway.store.errors import CorruptBlobError
from gateway.store.history import (
    MonthKey,
    Samples,
    checksum,
    decode_chunk,
    encode_chunk,
    split_by_month,
)
from gateway.store.journal import COLUMNS, Head, Journal, Row, RowKind
from gateway.store.log import Log
from gateway.store.months import Months
from gateway.store.pace import Pace

log = logging.getLogger(__name__)

TARGET = 1024
"""Samples of a full chunk; chunks hold fewer than twice that. In the schema's partial index too."""
MOST_SMALL = 8
"""A series with so many unfinished chunks has them merged, full or not."""
ROUND_SAMPLES = 1_000_000
ROUND_ROWS = 20_000
"""A round is bounded both ways, and with it its memory: a trickle makes many small rows."""
ROUND_AGE_NS = 15 * 60 * 1_000_000_000
_SERIES_A_STEP = 200
_ROWS_A_STEP = 50


@dataclass(frozen=True, slots=True)
class _Gathered:
    """Journal rows of one round: samples with the seq each came from, and the last row looked at."""

    batch: Batch
    source: NDArray[np.int64]
    through: Head


@dataclass(frozen=True, slots=True)
class _Chunk:
    """An encoded chunk, ready to be inserted."""

    series: int
    first: int
    last: int
    n: int
    body: bytes


class Compactor:
    """Owned by the writer thread."""

    def __init__(self, journal_log: Log, months: Months) -> None:
        self._log = journal_log
        self._months = months
        self._codec = Codec(level=3)
        self._reading = Codec()

    @property
    def mark(self) -> int:
        """Every sample up to this seq is in the history."""
        return self._log.journal.note("compacted")

    def is_due(self, now_ns: int) -> bool:
        """Whether enough samples wait, or the oldest of them waits long enough."""
        db = self._log.journal.db
        oldest = db.execute(
            "SELECT time, samples - n FROM journal WHERE seq > ? ORDER BY seq LIMIT 1", (self.mark,)
        ).fetchone()
        if oldest is None:
            return False
        waiting = self._log.journal.head.samples - int(oldest[1])
        return waiting >= ROUND_SAMPLES or abs(now_ns - int(oldest[0])) >= ROUND_AGE_NS

    def run(self) -> Iterator[None]:
        """One round, in steps. Raises sqlite3.DatabaseError."""
        gathered = yield from self._gather()
        if gathered is None:
            return
        for month, mask in split_by_month(gathered.batch.time):
            yield from self._compact_month(month, mask, gathered)
        self._log.write(lambda journal: journal.set_note("compacted", gathered.through.seq))

    def _gather(self) -> Generator[None, None, _Gathered | None]:
        journal = self._log.journal
        rows = _sample_rows(journal, self.mark)
        # Before the first yield: what is committed during a step is not among these rows.
        through = _through(journal, rows)
        batches: list[Batch] = []
        sources: list[NDArray[np.int64]] = []
        for count, row in enumerate(Pace().over(rows), 1):
            batch = self._decode(row)
            if batch is not None:
                batches.append(batch)
                sources.append(np.full(len(batch), row.seq, np.int64))
            if count % _ROWS_A_STEP == 0:
                yield
        if through is None:
            return None
        source = np.concatenate(sources) if sources else np.empty(0, np.int64)
        return _Gathered(Batch.concat(batches), source, through)

    def _decode(self, row: Row) -> Batch | None:
        try:
            return decode_samples(self._reading, row)
        except CorruptBlobError as error:
            log.error("journal row %d is damaged and skipped: %s", row.seq, error)
            self._log.count_quarantined(1)
            return None

    def _compact_month(
        self, month: MonthKey, mask: NDArray[np.bool_] | None, gathered: _Gathered
    ) -> Iterator[None]:
        try:
            db = self._months.get(month)
            noted = _noted_seq(db)
            wanted = gathered.source > noted
            if mask is not None:
                wanted &= mask
            chosen = np.flatnonzero(wanted)
            batch = gathered.batch
            order = chosen[np.lexsort((batch.time[chosen], batch.series[chosen]))]
            yield
            chunks: list[_Chunk] = []
            merged: list[int] = []
            small = _small_chunks(db)
            for count, (series, samples) in enumerate(Pace().over(_by_series(batch, order)), 1):
                self._make_chunks(db, series, samples, small.get(series), chunks, merged)
                if count % _SERIES_A_STEP == 0:
                    yield
            _store(db, chunks, merged, gathered.through)
        except sqlite3.DatabaseError as error:
            if not self._months.quarantine(month, error):
                raise
            yield from self._compact_month(month, mask, gathered)

    def _make_chunks(
        self,
        db: sqlite3.Connection,
        series: int,
        samples: Samples,
        small: tuple[int, int] | None,
        chunks: list[_Chunk],
        merged: list[int],
    ) -> None:
        """Append the series' new chunks, and the ids of the small ones that went into them."""
        if small is not None and (small[0] + len(samples) >= TARGET or small[1] >= MOST_SMALL):
            old, ids = self._read_small(db, series)
            samples = Samples.concat([*old, samples])
            merged.extend(ids)
        samples = samples.in_order()
        pieces = max(1, len(samples) // TARGET)
        edges = np.linspace(0, len(samples), pieces + 1).astype(int)
        for begin, end in pairwise(edges):
            piece = samples.take(slice(begin, end))
            body = encode_chunk(self._codec, piece)
            chunks.append(_Chunk(series, int(piece.time[0]), int(piece.time[-1]), len(piece), body))

    def _read_small(self, db: sqlite3.Connection, series: int) -> tuple[list[Samples], list[int]]:
        found: list[Samples] = []
        ids: list[int] = []
        query = f"SELECT id, body, n, crc FROM chunk WHERE series=? AND n < {TARGET} ORDER BY id"  # noqa: S608
        for one, body, n, crc in db.execute(query, (series,)):
            try:
                found.append(decode_chunk(self._reading, body, n, crc))
            except CorruptBlobError as error:
                log.error("a chunk of series %d is damaged and dropped: %s", series, error)
                self._log.count_quarantined(1)
            ids.append(one)
        return found, ids


def decode_samples(codec: Codec, row: Row) -> Batch:
    """The samples of a journal row. Raises CorruptBlobError."""
    if not row.is_intact():
        raise CorruptBlobError("CRC32C differs")
    series, time, value, quality = codec.decode(row.payload, row.n, "iifi")
    return Batch(series.astype(np.int32), time, value, quality.astype(np.uint8))  # type: ignore[arg-type]


def encode_samples(codec: Codec, batch: Batch) -> bytes:
    return codec.encode([batch.series, batch.time, batch.value, batch.quality])


def _sample_rows(journal: Journal, mark: int) -> list[Row]:
    """Sample rows after the mark, about a round's worth."""
    rows: list[Row] = []
    total = 0
    query = f"SELECT {COLUMNS} FROM journal WHERE seq > ? AND kind = ? ORDER BY seq"  # noqa: S608
    cursor = journal.db.execute(query, (mark, int(RowKind.SAMPLES)))
    for found in cursor:
        rows.append(Row(*found))
        total += rows[-1].n
        if total >= ROUND_SAMPLES or len(rows) == ROUND_ROWS:
            break
    cursor.close()
    return rows


def _through(journal: Journal, rows: list[Row]) -> Head | None:
    """How far this round reaches: the last sample row of a full round, else the journal's head."""
    if len(rows) == ROUND_ROWS or sum(row.n for row in rows) >= ROUND_SAMPLES:
        return Head(rows[-1].seq, rows[-1].samples, rows[-1].facts)
    return journal.head if journal.head.seq > journal.note("compacted") else None


def _noted_seq(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT value FROM note WHERE key='seq'").fetchone()
    return int(row[0]) if row else 0


def _small_chunks(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """Series with unfinished chunks -> samples in them, how many there are."""
    query = f"SELECT series, sum(n), count(*) FROM chunk WHERE n < {TARGET} GROUP BY series"  # noqa: S608
    return {series: (total, count) for series, total, count in db.execute(query)}


def _by_series(batch: Batch, order: NDArray[np.intp]) -> Iterator[tuple[int, Samples]]:
    """Each series with its samples, given rows ordered by series and time."""
    if len(order) == 0:
        return
    series = batch.series[order]
    whole = Samples(batch.time[order], batch.value[order], batch.quality[order])
    edges = np.concatenate(([0], np.flatnonzero(np.diff(series)) + 1, [len(series)]))
    for begin, end in pairwise(edges):
        yield int(series[begin]), whole.take(slice(begin, end))


def _store(db: sqlite3.Connection, chunks: list[_Chunk], merged: list[int], through: Head) -> None:
    pace = Pace()
    with transaction(db):
        db.executemany("DELETE FROM chunk WHERE id=?", ((one,) for one in pace.over(merged)))
        db.executemany(
            "INSERT INTO chunk(series, first, last, n, crc, body) VALUES(?,?,?,?,?,?)",
            ((c.series, c.first, c.last, c.n, checksum(c.body), c.body) for c in pace.over(chunks)),
        )
        notes = {"seq": through.seq, "samples": through.samples, "facts": through.facts}
        db.executemany("INSERT OR REPLACE INTO note VALUES(?,?)", list(notes.items()))
