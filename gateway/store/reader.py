"""Reading the store, from any process and any thread, beside the writer."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from drivers.base import Batch
from gateway.records import Alarm, Event, KpiResult
from gateway.store import catalogue, ledger
from gateway.store import log as journal_log
from gateway.store.catalogue import SeriesInfo
from gateway.store.codec import Codec
from gateway.store.columns import Intervals
from gateway.store.compactor import decode_samples
from gateway.store.database import open_reader, snapshot
from gateway.store.errors import CorruptBlobError
from gateway.store.history import (
    DAY_NS,
    RESOLUTION_CODES,
    Samples,
    concat_intervals,
    decode_block,
    decode_chunk,
    month_after,
    month_files,
    month_start,
    take_intervals,
)
from gateway.store.journal import COLUMNS, Row, RowKind

_LONGEST_BLOCK_NS = 31 * DAY_NS


class Reader:
    """Short reads on own connections. Not thread-safe: one for each thread.

    What is damaged is left out and counted in `damaged`; what does not exist yet is empty.
    """

    def __init__(self, path: Path) -> None:
        """path: the store's folder."""
        self._folder = path
        self._codec = Codec()
        self._open: dict[Path, tuple[int, sqlite3.Connection]] = {}
        self._tail = _Tail()
        self.damaged = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for path in list(self._open):
            self._forget(path)

    def samples(self, series: int, start_ns: int, end_ns: int) -> Samples:
        """Samples of a series in [start, end): sorted, one for each time, the last written where two met."""
        self._refresh_tail()
        parts: list[Samples] = []
        for db in self._months(start_ns, end_ns):
            rows = db.execute(
                "SELECT body, n, crc FROM chunk WHERE series=? AND first<? AND last>=? ORDER BY id",
                (series, end_ns, start_ns),
            )
            parts.extend(self._chunks(rows))
        parts.append(self._tail.of(series))
        merged = Samples.concat([part for part in parts if len(part)]).in_order()
        begin, end = np.searchsorted(merged.time, (start_ns, end_ns))
        return merged.take(slice(int(begin), int(end)))

    def intervals(self, series: int, resolution: str, start_ns: int, end_ns: int) -> Intervals:
        """Intervals that start in [start, end), newest revisions, sorted. KeyError: unknown resolution."""
        code = RESOLUTION_CODES[resolution]
        parts: list[Intervals] = []
        for db in self._months(start_ns, end_ns):
            rows = db.execute(
                "SELECT body, n, crc FROM interval WHERE series=? AND resolution=? AND block>? AND block<? "
                "ORDER BY block",
                (series, code, start_ns - _LONGEST_BLOCK_NS, end_ns),
            )
            for body, n, crc in rows:
                try:
                    parts.append(decode_block(self._codec, body, n, crc).intervals)
                except CorruptBlobError:
                    self.damaged += 1
        whole = concat_intervals(parts)
        begin, end = np.searchsorted(whole.start, (start_ns, end_ns))
        return take_intervals(whole, slice(int(begin), int(end)))

    def newest_sample_time(self, series: int) -> int:
        """UTC ns of the newest sample of a series; 0 when there is none."""
        self._refresh_tail()
        tail = self._tail.of(series)
        newest = int(tail.time.max()) if len(tail) else 0
        for month, path in reversed(month_files(self._folder)):
            if month_start(month_after(month)) <= newest:
                break
            db = self._database(path)
            row = (
                db.execute("SELECT max(last) FROM chunk WHERE series=?", (series,)).fetchone() if db else None
            )
            if row and row[0] is not None:
                return max(newest, int(row[0]))
        return newest

    def oldest_sample_time(self, series: int) -> int:
        """UTC ns of the oldest sample of a series; 0 when there is none."""
        self._refresh_tail()
        tail = self._tail.of(series).time
        oldest = [int(tail.min())] if len(tail) else []
        for _, path in month_files(self._folder):
            db = self._database(path)
            row = (
                db.execute("SELECT min(first) FROM chunk WHERE series=?", (series,)).fetchone()
                if db
                else None
            )
            if row and row[0] is not None:
                oldest.append(int(row[0]))
                break
        return min(oldest, default=0)

    def newest_interval_start(self, series: int, resolution: str) -> int:
        """UTC ns of the newest interval's start; 0 when there is none. Raises KeyError for the resolution."""
        code = RESOLUTION_CODES[resolution]
        for _, path in reversed(month_files(self._folder)):
            db = self._database(path)
            rows = (
                db.execute(
                    "SELECT body, n, crc FROM interval WHERE series=? AND resolution=? ORDER BY block DESC",
                    (series, code),
                )
                if db
                else ()
            )
            for body, n, crc in rows:
                try:
                    return int(decode_block(self._codec, body, n, crc).intervals.start[-1])
                except CorruptBlobError:
                    self.damaged += 1
        return 0

    def series(self) -> list[SeriesInfo]:
        """All series, by id."""
        db = self._database(self._folder / catalogue.NAME)
        return catalogue.read_series(db) if db else []

    def kpis(self) -> list[KpiResult]:
        """The newest period of each (kpi, cadence, scope)."""
        db = self._records()
        return ledger.newest_kpis(db) if db else []

    def kpi_history(self, kpi: str, cadence: str, scope: str, start_ns: int, end_ns: int) -> list[KpiResult]:
        """Results whose period starts in [start, end), oldest first."""
        db = self._records()
        return ledger.kpi_history(db, kpi, cadence, scope, start_ns, end_ns) if db else []

    def alarms(self, start_ns: int, end_ns: int) -> list[Alarm]:
        """Alarms raised in [start, end), newest first."""
        db = self._records()
        return ledger.alarms_between(db, start_ns, end_ns) if db else []

    def open_alarms(self) -> list[Alarm]:
        """Alarms that are not cleared, newest first."""
        db = self._records()
        return ledger.open_alarms(db) if db else []

    def events(self, start_ns: int, end_ns: int) -> list[Event]:
        """Events in [start, end), newest first."""
        db = self._records()
        return ledger.events_between(db, start_ns, end_ns) if db else []

    def _records(self) -> sqlite3.Connection | None:
        return self._database(self._folder / ledger.NAME)

    def _months(self, start_ns: int, end_ns: int) -> list[sqlite3.Connection]:
        found = []
        for month, path in month_files(self._folder):
            if month_start(month) < end_ns and month_start(month_after(month)) > start_ns:
                db = self._database(path)
                if db is not None:
                    found.append(db)
        return found

    def _chunks(self, rows: sqlite3.Cursor) -> list[Samples]:
        found = []
        for body, n, crc in rows:
            try:
                found.append(decode_chunk(self._codec, body, n, crc))
            except CorruptBlobError:
                self.damaged += 1
        return found

    def _refresh_tail(self) -> None:
        """The journal before the months: what the compactor moves meanwhile is seen twice, never not."""
        db = self._database(self._folder / journal_log.NAME)
        if db is not None:
            self.damaged += self._tail.refresh(db, self._codec)

    def _database(self, path: Path) -> sqlite3.Connection | None:
        """A connection to a file of the store, None where it does not exist (any more)."""
        try:
            inode = path.stat().st_ino
        except FileNotFoundError:
            self._forget(path)
            return None
        known = self._open.get(path)
        if known is not None and known[0] == inode:
            return known[1]
        self._forget(path)
        try:
            self._open[path] = (inode, open_reader(path))
        except sqlite3.OperationalError:
            return None
        return self._open[path][1]

    def _forget(self, path: Path) -> None:
        known = self._open.pop(path, None)
        if known is not None:
            known[1].close()


class _Tail:
    """Journal rows that are not in the history yet, decoded once for all the series that are asked for."""

    def __init__(self) -> None:
        self._batches: dict[int, Batch] = {}
        self._sorted: Batch | None = None

    def refresh(self, db: sqlite3.Connection, codec: Codec) -> int:
        """Bring it up to date; how many rows were damaged."""
        with snapshot(db):
            mark = db.execute("SELECT value FROM note WHERE key='compacted'").fetchone()
            after = int(mark[0]) if mark else 0
            for seq in [seq for seq in self._batches if seq <= after]:
                del self._batches[seq]
                self._sorted = None
            seqs = db.execute(
                "SELECT seq FROM journal WHERE seq > ? AND kind = ?", (after, int(RowKind.SAMPLES))
            ).fetchall()
            missing = [seq for (seq,) in seqs if seq not in self._batches]
            query = f"SELECT {COLUMNS} FROM journal WHERE seq=?"  # noqa: S608 - own constant
            rows = [db.execute(query, (seq,)).fetchone() for seq in missing]
        damaged = 0
        for found in rows:
            row = Row(*found)
            try:
                self._batches[row.seq] = decode_samples(codec, row)
            except CorruptBlobError:
                damaged += 1
            self._sorted = None
        return damaged

    def of(self, series: int) -> Samples:
        """The tail of one series, in the order of its commits."""
        if self._sorted is None:
            whole = Batch.concat([self._batches[seq] for seq in sorted(self._batches)])
            order = np.argsort(whole.series, kind="stable")
            self._sorted = Batch(
                whole.series[order], whole.time[order], whole.value[order], whole.quality[order]
            )
        batch = self._sorted
        begin, end = np.searchsorted(batch.series, (series, series + 1))
        return Samples.of_batch(batch).take(slice(int(begin), int(end)))
