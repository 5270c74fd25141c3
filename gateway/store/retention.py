"""What goes, in which order, when rows have served or room is short.

Settled and compacted journal rows go at once, and the file shrinks. Raw samples and intervals go by age.
Over the byte cap or below the free-space floor: first raw samples that every sink has settled, oldest
first; then, for the cap alone, the oldest unsettled samples of the journal (counted as dropped: this is
loss) and the oldest intervals. KPI records and alarms are never dropped. The floor takes only what is
settled: another program filling the disk does not cost what the cloud has not got.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.store.ballast import Ballast, free_bytes
from gateway.store.database import free_pages, give_back_pages, remove, size_with_wal, transaction
from gateway.store.history import DAY_NS, MonthKey, month_after, month_files, month_start
from gateway.store.journal import RowKind
from gateway.store.log import Log
from gateway.store.months import Months

if TYPE_CHECKING:
    from gateway.site import StoreSettings

log = logging.getLogger(__name__)

_ROWS_A_STEP = 500
_PAGES_A_STEP = 64
_SLACK_PAGES = 64
"""Free pages that stay in a file for the next rows: a file that breathes wears the flash."""
_CHUNKS_A_STEP = 2000
_SPARE_BYTES = 256 << 10
_ROW_BYTES = 64
_AGE_CHECK_NS = 3_600 * 1_000_000_000


class Retention:
    """Owned by the writer thread."""

    def __init__(
        self, folder: Path, settings: StoreSettings, journal_log: Log, months: Months, ballast: Ballast
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._log = journal_log
        self._months = months
        self._ballast = ballast
        self._age_checked = 0
        self.sinks: frozenset[str] | None = None
        """The sinks to wait for; None waits for every sink that ever asked for its progress."""

    def bytes_used(self) -> int:
        """What the store's files take, the ballast and files set aside included."""
        total = 0
        with suppress(OSError):
            for path in self._folder.iterdir():
                with suppress(OSError):
                    total += path.stat().st_size
        return total

    def settled(self) -> int:
        """Every seq up to here is settled by all sinks; the newest seq where there is no sink."""
        db = self._log.journal.db
        known = {str(name): int(mark) for name, mark in db.execute("SELECT name, low_water FROM sink")}
        # A sink that is configured and has not yet asked for its progress has settled nothing.
        marks = [known.get(name, 0) for name in (known if self.sinks is None else self.sinks)]
        return min(marks, default=self._log.journal.head.seq)

    def run(self, now_ns: int) -> Iterator[None]:
        """One pass, in steps. Raises sqlite3.DatabaseError."""
        yield from self._trim_journal()
        if abs(now_ns - self._age_checked) >= _AGE_CHECK_NS:
            self._age_checked = now_ns
            yield from self._drop_aged(now_ns)
        yield from self._keep_to_cap()
        yield from self._keep_floor()

    def make_room(self, needed: int) -> bool:
        """On a full disk: the ballast, then the oldest by policy; whether trying again is worth it.

        The ballast is what the deleting itself is done with; enough is deleted to take it again.
        """
        freed = int(self._ballast.drop())
        wanted = max(4 * needed, self._ballast.size + _SPARE_BYTES)
        try:
            self._log.journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            while freed < wanted:
                step = self._drop_oldest(wanted - freed)
                if step == 0:
                    break
                freed += step
        except sqlite3.Error as error:
            log.warning("no room could be made: %s", error)
        self._ballast.take()
        return freed > 0

    def _trim_journal(self) -> Iterator[None]:
        """Rows that are settled and compacted go; the newest row stays and keeps the totals."""
        journal = self._log.journal
        safe = min(journal.note("compacted"), self.settled(), journal.head.seq - 1)
        while (oldest := journal.oldest()) and oldest <= safe:
            upto = min(safe, oldest + _ROWS_A_STEP - 1)
            with transaction(journal.db, durable=False):
                journal.db.execute("DELETE FROM journal WHERE seq <= ?", (upto,))
            yield
        yield from _shrink(journal.db)

    def _drop_aged(self, now_ns: int) -> Iterator[None]:
        raw_before = now_ns - self._settings.raw_days * DAY_NS
        intervals_before = now_ns - self._settings.interval_days * DAY_NS
        for month, path in month_files(self._folder):
            end = month_start(month_after(month))
            if end <= min(raw_before, intervals_before):
                self._remove_month(month, path)
            elif month_start(month) < raw_before:
                yield from self._drop_chunks(month, raw_before)
            yield

    def _drop_chunks(self, month: MonthKey, before_ns: int) -> Iterator[None]:
        db = self._months.get(month)
        while True:
            with transaction(db, durable=False):
                gone = db.execute(
                    "DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE last < ? LIMIT ?)",
                    (before_ns, _CHUNKS_A_STEP),
                ).rowcount
            if gone < _CHUNKS_A_STEP:
                break
            yield
        yield from _shrink(db)

    def _keep_to_cap(self) -> Iterator[None]:
        while (excess := self.bytes_used() - self._settings.max_bytes) > 0:
            if self._drop_oldest(excess) == 0:
                return
            yield

    def _keep_floor(self) -> Iterator[None]:
        while (short := self._settings.min_free - free_bytes(self._folder)) > 0:
            if self._drop_settled_raw(short) == 0:
                return
            yield

    def _drop_oldest(self, wanted: int) -> int:
        """Drop about `wanted` bytes of the next thing by policy; the bytes, 0 when nothing is left."""
        return self._drop_settled_raw(wanted) or self._drop_unsettled(wanted) or self._drop_intervals()

    def _drop_settled_raw(self, wanted: int) -> int:
        """The oldest chunks of the oldest month that has any; what a sink waits for is in the journal."""
        for month, _ in month_files(self._folder):
            db = self._months.get(month)
            rows = db.execute("SELECT id, length(body) FROM chunk ORDER BY first LIMIT ?", (_CHUNKS_A_STEP,))
            chosen, size = _worth(rows.fetchall(), wanted)
            if chosen:
                _delete(db, "DELETE FROM chunk WHERE id=?", chosen)
                return size
        return 0

    def _drop_unsettled(self, wanted: int) -> int:
        """The oldest samples of the journal go, keys and records stay: facts are small and come first."""
        journal = self._log.journal
        rows = journal.db.execute(
            "SELECT seq, length(payload), n FROM journal WHERE kind=? AND seq < ? ORDER BY seq LIMIT ?",
            (int(RowKind.SAMPLES), journal.head.seq, _ROWS_A_STEP),
        ).fetchall()
        chosen, size = _worth([row[:2] for row in rows], wanted)
        if chosen:
            held = max(self.settled(), 0)
            lost = sum(n for seq, _, n in rows[: len(chosen)] if self._is_loss(seq, held))
            _delete(journal.db, "DELETE FROM journal WHERE seq=?", chosen)
            self._log.count_dropped(lost)
        return size

    def _is_loss(self, seq: int, settled: int) -> bool:
        """Whether a row's samples are neither at every sink nor in the history."""
        return seq > min(settled, self._log.journal.note("compacted"))

    def _drop_intervals(self) -> int:
        """The oldest month as a whole, as long as it is not the newest."""
        files = month_files(self._folder)
        if len(files) < 2:
            return 0
        month, path = files[0]
        size = size_with_wal(path)
        self._remove_month(month, path)
        return size

    def _remove_month(self, month: MonthKey, path: Path) -> None:
        self._months.discard(month)
        remove(path)


def _worth(rows: Sequence[tuple[int, int]], wanted: int) -> tuple[list[int], int]:
    """Of (id, bytes) the first ones that are worth `wanted` bytes, and their bytes."""
    chosen: list[int] = []
    size = 0
    for one, weight in rows:
        if size >= wanted:
            break
        chosen.append(one)
        size += weight + _ROW_BYTES
    return chosen, size


def _delete(db: sqlite3.Connection, statement: str, ids: Iterable[int]) -> None:
    with transaction(db, durable=False):
        db.executemany(statement, [(one,) for one in ids])
    for _ in _shrink(db):
        pass
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _shrink(db: sqlite3.Connection) -> Iterator[None]:
    """Give free pages back, in steps, when there are more than the next rows will want."""
    if free_pages(db) <= 2 * _SLACK_PAGES:
        return
    while (spare := free_pages(db) - _SLACK_PAGES) > 0:
        give_back_pages(db, min(spare, _PAGES_A_STEP))
        yield
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
