"""The store as the sender sees it: parcels by seq, progress of each sink, dead letters."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.store import ledger
from gateway.store.catalogue import Catalogue
from gateway.store.codec import Codec
from gateway.store.columns import INTERVAL_COLUMNS
from gateway.store.compactor import decode_samples
from gateway.store.database import ReaderPool, open_reader
from gateway.store.errors import CorruptBlobError, is_corrupt
from gateway.store.facts import facts_of
from gateway.store.history import (
    RESOLUTION_NAMES,
    Block,
    MonthKey,
    block_of,
    month_path,
    read_block,
    split_by_month,
)
from gateway.store.journal import Row, RowKind
from gateway.store.log import Log
from gateway.store.pace import Pace
from gateway.store.progress import (
    Acknowledged,
    Range,
    count_covered,
    count_within,
    newly_covered,
    read_sink,
    write_sink,
)
from gateway.store.writer import Writer
from sync.outbox import DeadLetter, Fact, IntervalRows, Parcel, SampleColumns, SeriesTags, SinkProgress

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Contents:
    """What a parcel collects while its rows are read."""

    samples: list[SampleColumns]
    intervals: list[IntervalRows]
    facts: list[Fact]
    skipped: list[int]


class JournalOutbox:
    """Implements sync.outbox.Outbox. Thread-safe; reads on connections of its own, writes by the writer."""

    def __init__(
        self, folder: Path, site: str, journal_log: Log, catalogue: Catalogue, writer: Writer
    ) -> None:
        self._folder = folder
        self._site = site
        self._log = journal_log
        self._catalogue = catalogue
        self._writer = writer
        self._records = ReaderPool(folder / ledger.NAME)
        self._saving = Lock()
        self._bad_rows: set[int] = set()

    def newest(self) -> int:
        """The highest committed seq; 0 when nothing was ever committed."""
        return self._log.newest()

    def wait_beyond(self, seq: int, timeout_s: float) -> int:
        """Wait until something newer than `seq` is committed or the time is over; the newest seq."""
        return self._log.wait_beyond(seq, timeout_s)

    def read(self, first: int, last: int, max_rows: int) -> Parcel | None:
        """Whole journal rows from `first` to at most `last`, about `max_rows` lines; None when none.

        Seq that retention has dropped belong to the parcel that comes after them: acknowledging it
        settles them too. max_rows counts lines; a single larger row is still given whole.
        """
        rows = self._rows(first, last, max_rows)
        if not rows:
            return None
        found = _Contents([], [], [], [])
        codec = Codec()
        for row in rows:
            try:
                self._take(codec, row, found)
            except (CorruptBlobError, msgspec.DecodeError) as error:
                self._skip(row.seq, error, found)
        return Parcel(
            first_seq=first,
            last_seq=rows[-1].seq,
            samples=_join_samples(found.samples),
            intervals=_join_intervals(found.intervals),
            facts=found.facts,
            skipped=found.skipped,
        )

    def tags(self, series: NDArray[np.int32]) -> Sequence[SeriesTags]:
        """The tags of each series id, one for each element."""
        return self._catalogue.tags_of(series.tolist())

    def progress(self, sink: str) -> SinkProgress:
        """The sink's persisted progress; a sink never seen before starts at the oldest row that is kept.

        Its first call makes the sink known: from then on retention waits for it.
        """
        return self._writer.call(lambda: self._progress(sink)).result()

    def save_progress(self, sink: str, progress: SinkProgress) -> None:
        """Persist the progress durably before returning, and count what it newly acknowledges.

        Raises OSError when the disk does not take it: then the range will be sent again after a restart.
        """
        with self._saving:
            saved = self._writer.call(lambda: self._save(sink, progress)).result()
        if not saved:
            raise OSError(f"the progress of {sink} could not be written")

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep refused lines durably. Raises OSError when the disk does not take them."""
        rows = [(x.sink, x.seq, x.line, x.reason, x.time) for x in letters]
        statement = "INSERT INTO dead_letter(sink, seq, line, reason, time) VALUES(?,?,?,?,?)"

        def insert() -> bool:
            return self._log.write(lambda journal: _discard(journal.db.executemany(statement, rows)))

        if not self._writer.call(insert).result():
            raise OSError("dead letters could not be written")

    def dead_letters(self, sink: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """Refused lines, oldest first."""
        with self._log.pool.lend() as db:
            rows = db.execute(
                "SELECT sink, seq, line, reason, time FROM dead_letter "
                "WHERE sink = coalesce(?, sink) ORDER BY id LIMIT ?",
                (sink, limit),
            )
            return [DeadLetter(*row) for row in rows]

    def count_dead_letters(self, sink: str) -> int:
        with self._log.pool.lend() as db:
            return int(db.execute("SELECT count(*) FROM dead_letter WHERE sink=?", (sink,)).fetchone()[0])

    def acknowledged(self, sink: str) -> Acknowledged:
        """How much the sink has acknowledged ever, imported facts apart; zeros when it is not known."""
        with self._log.pool.lend() as db:
            known = read_sink(db, sink)
        return known.acknowledged if known else Acknowledged()

    def rows_within(self, ranges: Sequence[Range]) -> int:
        """About how many samples and facts the rows of these inclusive seq ranges hold, by running totals."""
        with self._log.pool.lend() as db:
            return sum(count_within(db, first, last) for first, last in ranges)

    def committed_at(self, seq: int) -> int:
        """When the oldest kept row from `seq` on was committed [UTC ns]; 0 when there is none."""
        with self._log.pool.lend() as db:
            row = db.execute(
                "SELECT time FROM journal WHERE seq >= ? ORDER BY seq LIMIT 1", (seq,)
            ).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        self._records.close()

    def _rows(self, first: int, last: int, max_rows: int) -> list[Row]:
        """Journal rows. Raises sqlite3.DatabaseError, StoreError; a damaged journal is replaced."""
        try:
            return self._log.read(first, last, max_rows)
        except sqlite3.DatabaseError as error:
            if is_corrupt(error):
                self._writer.call(self._log.replace).result()
            raise

    def _take(self, codec: Codec, row: Row, found: _Contents) -> None:
        """Add one row's content. Raises CorruptBlobError, msgspec.DecodeError."""
        if row.kind == RowKind.SAMPLES:
            batch = decode_samples(codec, row)
            found.samples.append(SampleColumns(batch.series, batch.time, batch.value, batch.quality))
            return
        if not row.is_intact():
            raise CorruptBlobError("CRC32C differs")
        if row.kind in (RowKind.INTERVAL_KEYS, RowKind.IMPORTED_KEYS):
            keys = codec.decode(row.payload, row.n, "iii")
            found.intervals.extend(self._resolve(codec, row.seq, *keys))  # type: ignore[arg-type]
        elif row.kind == RowKind.RECORDS:
            found.facts.extend(facts_of(self._site, ledger.decode_passing(codec, row.payload)))
        elif row.kind == RowKind.RECORD_KEYS:
            with self._records.lend() as db:
                kpis, alarms = ledger.revisions(db, ledger.decode_keys(codec, row.payload), row.seq)
            found.facts.extend(facts_of(self._site, [*kpis, *alarms]))
        else:
            raise CorruptBlobError(f"row kind {row.kind} is not known")

    def _skip(self, seq: int, error: Exception, found: _Contents) -> None:
        log.error("journal row %d cannot be read and is skipped: %s", seq, error)
        found.skipped.append(seq)
        if seq not in self._bad_rows:
            self._bad_rows.add(seq)
            self._writer.call(lambda: self._log.count_quarantined(1))

    def _resolve(
        self,
        codec: Codec,
        seq: int,
        series: NDArray[np.int64],
        code: NDArray[np.int64],
        start: NDArray[np.int64],
    ) -> list[IntervalRows]:
        """The newest revisions of interval keys, less those that a later row names again."""
        found: list[IntervalRows] = []
        for month, mask in split_by_month(start):
            chosen = slice(None) if mask is None else mask
            try:
                with self._month(month) as db:
                    found += _revisions(db, codec, seq, month, series[chosen], code[chosen], start[chosen])
            except sqlite3.DatabaseError as error:
                if month_path(self._folder, month).exists() and not is_corrupt(error):
                    raise
                log.warning("intervals of %04d-%02d are not there to be sent: %s", *month, error)
        return found

    def _month(self, month: MonthKey) -> AbstractContextManager[sqlite3.Connection]:
        return closing(open_reader(month_path(self._folder, month)))

    def _progress(self, sink: str) -> SinkProgress:
        journal = self._log.journal
        known = read_sink(journal.db, sink)
        if known is not None:
            return known.progress
        oldest = 1 if self._log.is_recovering else journal.oldest() or self._log.head.seq + 1
        fresh = SinkProgress(low_water=oldest - 1)
        self._log.write(lambda j: write_sink(j.db, sink, fresh, Acknowledged()))
        return fresh

    def _save(self, sink: str, progress: SinkProgress) -> bool:
        db = self._log.journal.db
        known = read_sink(db, sink)
        counts = known.acknowledged if known else Acknowledged()
        before = known.progress if known else SinkProgress()
        for first, last in newly_covered(before, progress):
            counts = counts + count_covered(db, first, last)
        for first, last in newly_covered(progress, before):
            counts = counts - count_covered(db, first, last)
        return self._log.write(lambda journal: write_sink(journal.db, sink, progress, counts))


def _revisions(
    db: sqlite3.Connection,
    codec: Codec,
    seq: int,
    month: MonthKey,
    series: NDArray[np.int64],
    code: NDArray[np.int64],
    start: NDArray[np.int64],
) -> list[IntervalRows]:
    found = []
    for one in np.unique(code):
        of_code = code == one
        begin = block_of(int(one), month, start[of_code])
        pairs, which = np.unique(np.stack([series[of_code], begin]), axis=1, return_inverse=True)
        starts = start[of_code]
        for index, (series_id, block_begin) in enumerate(Pace().over(pairs.T.tolist())):
            block = _readable_block(db, codec, series_id, int(one), block_begin)
            wanted = starts[which.reshape(-1) == index]
            if block is not None:
                found.append(_pick(block, wanted, seq, series_id, RESOLUTION_NAMES[int(one)]))
    return found


def _readable_block(
    db: sqlite3.Connection, codec: Codec, series: int, resolution: int, begin: int
) -> Block | None:
    """One stored block; a damaged one is left out, not the whole row that names it."""
    try:
        return read_block(db, codec, series, resolution, begin)
    except CorruptBlobError as error:
        log.error("a block of intervals of series %d is damaged: %s", series, error)
        return None


def _pick(block: Block, wanted: NDArray[np.int64], seq: int, series: int, resolution: str) -> IntervalRows:
    chosen = np.isin(block.intervals.start, wanted) & (block.seq <= seq)
    columns = {name: getattr(block.intervals, name)[chosen] for name in INTERVAL_COLUMNS}
    start = block.intervals.start[chosen]
    return IntervalRows(resolution, np.full(len(start), series, np.int32), start, columns)


def _join_samples(parts: list[SampleColumns]) -> SampleColumns | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return SampleColumns(
        np.concatenate([p.series for p in parts]),
        np.concatenate([p.time for p in parts]),
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.quality for p in parts]),
    )


def _join_intervals(parts: list[IntervalRows]) -> list[IntervalRows]:
    """One set of columns for each resolution."""
    joined = []
    for resolution in dict.fromkeys(part.resolution for part in parts):
        same = [part for part in parts if part.resolution == resolution and len(part.start)]
        if same:
            columns = {name: np.concatenate([p.columns[name] for p in same]) for name in INTERVAL_COLUMNS}
            series = np.concatenate([p.series for p in same])
            joined.append(IntervalRows(resolution, series, np.concatenate([p.start for p in same]), columns))
    return joined


def _discard(_: object) -> None:
    """For statements whose result nobody wants."""
