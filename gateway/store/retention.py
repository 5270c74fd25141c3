"""What goes, in which order, when rows have served or room is short.

Settled and compacted journal rows go at once, and the file shrinks. Raw samples and intervals go by age.
Over the byte cap or below the free-space floor: first raw samples that every sink has settled, oldest
first; then, for the cap alone, the oldest unsettled samples of the journal (counted as dropped: this is
loss) and the oldest intervals. KPI records and alarms are never dropped. The floor takes only what is
settled: another program filling the disk does not cost what the cloud has not got.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
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

_ROWS_A_STEP = 500
_PAGES_A_STEP = 256
_SLACK_PAGES = 64
"""Free pages that stay in a file for the next rows: a file that breathes wears the flash."""
_CHUNKS_A_STEP = 2000
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
        marks = [
            int(mark)
            for name, mark in db.execute("SELECT name, low_water FROM sink")
            if self.sinks is None or name in self.sinks
        ]
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
        """On a full disk: the ballast first, then the oldest by policy; whether trying again is worth it."""
        if self._ballast.drop():
            return True
        wanted = max(4 * needed, 1 << 20)
        freed = 0
        with suppress(sqlite3.Error):
            while freed < wanted:
                step = self._drop_oldest()
                if step == 0:
                    break
                freed += step
            self._log.journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
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
        while self.bytes_used() > self._settings.max_bytes:
            if self._drop_oldest() == 0:
                return
            yield

    def _keep_floor(self) -> Iterator[None]:
        while free_bytes(self._folder) < self._settings.min_free:
            if self._drop_settled_raw() == 0:
                return
            yield

    def _drop_oldest(self) -> int:
        """Drop the next thing by policy; about how many bytes came free, 0 when nothing is left to drop."""
        return self._drop_settled_raw() or self._drop_unsettled() or self._drop_intervals()

    def _drop_settled_raw(self) -> int:
        """The oldest chunks of the oldest month that has any; what a sink waits for is in the journal."""
        for month, path in month_files(self._folder):
            db = self._months.get(month)
            sizes = db.execute(
                "SELECT id, length(body) FROM chunk ORDER BY first LIMIT ?", (_CHUNKS_A_STEP,)
            ).fetchall()
            if sizes:
                _delete(db, "chunk", [one for one, _ in sizes])
                before = size_with_wal(path)
                _shrink_now(db)
                return max(before - size_with_wal(path), 1)
        return 0

    def _drop_unsettled(self) -> int:
        """The oldest samples of the journal go, keys and records stay: facts are small and come first."""
        journal = self._log.journal
        rows = journal.db.execute(
            "SELECT seq, n, length(payload) FROM journal WHERE kind=? AND seq < ? ORDER BY seq LIMIT ?",
            (int(RowKind.SAMPLES), journal.head.seq, _ROWS_A_STEP),
        ).fetchall()
        if not rows:
            return 0
        settled = self.settled()
        with transaction(journal.db, durable=False):
            journal.db.executemany("DELETE FROM journal WHERE seq=?", [(row[0],) for row in rows])
        self._log.count_dropped(sum(n for seq, n, _ in rows if seq > settled))
        _shrink_now(journal.db)
        return int(sum(size for _, _, size in rows))

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


def _delete(db: sqlite3.Connection, table: str, ids: Iterable[int]) -> None:
    with transaction(db, durable=False):
        db.executemany(f"DELETE FROM {table} WHERE id=?", [(one,) for one in ids])  # noqa: S608 - own names


def _shrink(db: sqlite3.Connection) -> Iterator[None]:
    """Give free pages back, in steps, when there are more than the next rows will want."""
    if free_pages(db) <= 2 * _SLACK_PAGES:
        return
    while (spare := free_pages(db) - _SLACK_PAGES) > 0:
        give_back_pages(db, min(spare, _PAGES_A_STEP))
        yield
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _shrink_now(db: sqlite3.Connection) -> None:
    for _ in _shrink(db):
        pass
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
