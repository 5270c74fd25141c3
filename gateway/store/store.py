"""The store: what goes in, what is known of it. Nothing skips it.

Files in its folder: journal.db (log and outbox), history-YYYY-MM.db (samples and intervals), records.db
(KPI results, alarms, events), catalogue.db with catalogue.bak (series, notes), ballast (room to work on a
full disk), lock (who writes), and *.corrupt-<time> (damaged files set aside).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.base import Batch
from gateway.records import Record
from gateway.status import StoreStatus
from gateway.store import ledger
from gateway.store.ballast import Ballast, free_bytes
from gateway.store.catalogue import Catalogue, open_catalogue
from gateway.store.codec import Codec
from gateway.store.columns import RESOLUTIONS, IntervalBlock
from gateway.store.compactor import Compactor, encode_samples
from gateway.store.database import transaction
from gateway.store.errors import StoreError, is_corrupt, is_unwritable
from gateway.store.history import MonthKey, month_files
from gateway.store.journal import Draft, RowKind, bytes_per_s
from gateway.store.ledger import RecordSet
from gateway.store.lock import FolderLock
from gateway.store.log import Log
from gateway.store.months import Months, add_pending, clear_pending, pending_drafts, split_blocks
from gateway.store.outbox import JournalOutbox
from gateway.store.progress import Acknowledged
from gateway.store.recovery import open_or_replace
from gateway.store.retention import Retention
from gateway.store.writer import COMMIT_S, COMMIT_SAMPLES, Work, Writer

if TYPE_CHECKING:
    from gateway.site import StoreSettings

log = logging.getLogger(__name__)

HELD_IN_MEMORY = 0
"""What an append gives when the disk does not take it: held and sent from memory, but not durable."""


class Store:
    """Made by `Store.open`. Thread-safe; all writing happens on one thread of its own."""

    def __init__(
        self,
        path: Path,
        now: Callable[[], int],
        settings: StoreSettings,
        site: str,
        commit_s: float,
        lock: FolderLock,
    ) -> None:
        """Opens the files; use `Store.open`. Raises OSError, sqlite3.OperationalError."""
        self.path = path
        self._now = now
        self._settings = settings
        self._lock = lock
        self._codec = Codec()
        self._log = Log(path, now)
        self.catalogue: Catalogue = open_catalogue(path, now, site)
        ledger_path = path / ledger.NAME
        self._records, aside = open_or_replace(ledger_path, lambda: ledger.open_ledger(ledger_path), now())
        self._log.count_quarantined(1 if aside else 0)
        self._months = Months(path, now, self._log.count_quarantined)
        self._ballast = Ballast(path / "ballast", settings.max_bytes)
        self._ballast.take()
        self._compactor = Compactor(self._log, self._months)
        self._retention = Retention(path, settings, self._log, self._months, self._ballast)
        self._log.relieve = self._retention.make_room
        self._journal_pending()
        self._writer = Writer(self._commit, self._housekeeping, commit_s)
        self.outbox = JournalOutbox(path, site, self._log, self.catalogue, self._writer)
        self._status = self._take_status()
        self._writer.start()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        now: Callable[[], int],
        settings: StoreSettings,
        site: str = "",
        commit_s: float = COMMIT_S,
    ) -> Store:
        """Open or create the store in a folder.

        now: UTC ns. site: the site's id, a tag of everything that is sent. commit_s: how long samples wait
        for others to share their commit. Damaged files are set aside and started again. Raises
        StoreInUseError when another process writes this store, OSError or sqlite3.OperationalError when the
        folder cannot be used.
        """
        path.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(path)
        try:
            return cls(path, now, settings, site, commit_s, lock)
        except BaseException:
            lock.release()
            raise

    def submit(self, batch: Batch) -> Future[int]:
        """Queue samples; the future gives the journal seq once they are durable (see `append`)."""
        return self._writer.submit(batch)

    async def append(self, batch: Batch) -> int:
        """Commit samples; the journal seq once they are on disk.

        HELD_IN_MEMORY (0) when the disk does not take them: they are kept in bounded memory, sent from
        there and written when it does, but a driver must not acknowledge them to its peer. Raises
        StoreClosedError.
        """
        if len(batch) == 0:
            return self._log.newest()
        return await asyncio.wrap_future(self._writer.submit(batch))

    async def append_records(self, records: Sequence[Record]) -> int:
        """Commit records; the journal seq that tells of them (0: see `append`). Raises StoreError."""
        if not records:
            return self._log.newest()
        found = RecordSet.of(records)
        return await asyncio.wrap_future(self._writer.call(lambda: self._put_records(found)))

    async def put_intervals(self, blocks: Sequence[IntervalBlock], *, bulk: bool = False) -> int:
        """Store intervals, each replacing its earlier revision; the seq naming the last (0: see `append`).

        bulk: an import, which gives way to everything else and is counted apart by the sinks. Raises
        KeyError for an unknown resolution, StoreError when the disk does not take them.
        """
        for block in blocks:
            if block.resolution not in RESOLUTIONS:
                raise KeyError(block.resolution)
        months = split_blocks([block for block in blocks if len(block.intervals)])
        if bulk:
            await asyncio.wrap_future(self._writer.call_later(self._import_intervals(months)))
            return self._log.newest()
        if not months:
            return self._log.newest()
        return await asyncio.wrap_future(self._writer.call(lambda: self._put_months(months)))

    def keep_for(self, sinks: Iterable[str]) -> None:
        """Name the sinks that retention waits for; other sinks no longer hold rows back."""
        self._retention.sinks = frozenset(sinks)

    def acknowledged(self, sink: str) -> Acknowledged:
        """What a sink has acknowledged ever: samples, facts, imported facts."""
        return self.outbox.acknowledged(sink)

    @property
    def samples_committed(self) -> int:
        """Samples ever committed, over all restarts."""
        return self._log.head.samples

    def status(self) -> StoreStatus:
        """Figures of about the last second."""
        head = self._log.head
        return StoreStatus(
            path=str(self.path),
            bytes_used=self._status.bytes_used,
            bytes_cap=self._settings.max_bytes,
            bytes_free_on_disk=self._status.bytes_free_on_disk,
            samples_committed=head.samples,
            newest_seq=head.seq,
            oldest_seq=self._status.oldest_seq,
            dropped=self._log.dropped,
            quarantined=self._log.quarantined,
            mode="memory" if self._log.in_memory else "disk",
            room_s=self._status.room_s,
        )

    async def close(self) -> None:
        """Finish what is queued, commit it, close the files."""
        await asyncio.to_thread(self._close)

    async def compact(self) -> None:
        """Bring the journal's samples into the history now; otherwise this happens by itself."""
        await asyncio.wrap_future(self._writer.call_later(self._compactor.run()))

    async def retain(self) -> None:
        """Apply retention now; otherwise this happens by itself."""
        await asyncio.wrap_future(self._writer.call_later(self._retention.run(self._now())))

    def _commit(self, batches: list[Batch]) -> int:
        whole = batches[0] if len(batches) == 1 else Batch.concat(batches)
        drafts = []
        for at in range(0, len(whole), COMMIT_SAMPLES):
            chosen = slice(at, at + COMMIT_SAMPLES)
            part = Batch(whole.series[chosen], whole.time[chosen], whole.value[chosen], whole.quality[chosen])
            drafts.append(Draft(RowKind.SAMPLES, len(part), encode_samples(self._codec, part)))
        return self._append(drafts)

    def _append(self, drafts: Sequence[Draft]) -> int:
        durable = self._log.append(drafts)
        return self._log.head.seq if durable else HELD_IN_MEMORY

    def _put_records(self, records: RecordSet) -> int:
        drafts = records.drafts(self._codec)
        try:
            with transaction(self._records):
                ledger.put(self._records, records, self._log.head.seq + 1)
                ids = [add_pending(self._records, draft) for draft in drafts]
        except sqlite3.OperationalError as error:
            raise StoreError(f"records cannot be written: {error}") from error
        seq = self._append(drafts)
        if seq != HELD_IN_MEMORY:
            clear_pending(self._records, ids)
        return seq

    def _put_months(self, months: dict[MonthKey, list[IntervalBlock]]) -> int:
        seq = self._log.newest()
        for month, parts in months.items():
            seq = self._put_month(month, parts, RowKind.INTERVAL_KEYS)
        return seq

    def _import_intervals(self, months: dict[MonthKey, list[IntervalBlock]]) -> Work:
        for month, parts in months.items():
            self._put_month(month, parts, RowKind.IMPORTED_KEYS)
            yield

    def _put_month(self, month: MonthKey, parts: Sequence[IntervalBlock], kind: RowKind) -> int:
        for attempt in (1, 2):
            try:
                drafts, ids = self._months.put_intervals(
                    self._codec, month, parts, self._log.head.seq + 1, kind
                )
                break
            except sqlite3.DatabaseError as error:
                if attempt == 1 and (self._months.quarantine(month, error) or self._find_room(error)):
                    continue
                raise StoreError(f"intervals cannot be written: {error}") from error
        seq = self._append(drafts)
        if seq != HELD_IN_MEMORY:
            clear_pending(self._months.get(month), ids)
        return seq

    def _find_room(self, error: sqlite3.DatabaseError) -> bool:
        return is_unwritable(error) and self._retention.make_room(1 << 20)

    def _journal_pending(self) -> None:
        """Journal again what a crash kept from following its history file."""
        self._journal_pending_of(self._records)
        for month, _ in month_files(self.path):
            with suppress(sqlite3.DatabaseError):
                self._journal_pending_of(self._months.get(month))

    def _journal_pending_of(self, db: sqlite3.Connection) -> None:
        drafts, ids = pending_drafts(db)
        if drafts and self._log.append(drafts):
            clear_pending(db, ids)

    def _housekeeping(self) -> Work | None:
        """About once a second: what is to be done, if anything."""
        self._status = self._take_status()
        if self._log.in_memory and not self._log.flush_memory():
            return None
        return self._chores()

    def _chores(self) -> Iterator[None]:
        now = self._now()
        try:
            yield from self._log.recover()
            self._log.save_counters_if_changed()
            if self._compactor.is_due(now):
                yield from self._compactor.run()
            yield from self._retention.run(now)
        except sqlite3.DatabaseError as error:
            if is_corrupt(error):
                self._log.replace()
            elif not is_unwritable(error):
                raise
        self._ballast.take()

    def _take_status(self) -> StoreStatus:
        head = self._log.head
        oldest = 0
        with suppress(sqlite3.Error):
            oldest = self._log.journal.oldest()
        used, free = self._retention.bytes_used(), free_bytes(self.path)
        room = min(self._settings.max_bytes - used, free)
        return StoreStatus(
            path=str(self.path),
            bytes_used=used,
            bytes_cap=self._settings.max_bytes,
            bytes_free_on_disk=free,
            samples_committed=head.samples,
            newest_seq=head.seq,
            oldest_seq=oldest,
            dropped=self._log.dropped,
            quarantined=self._log.quarantined,
            mode="disk",
            room_s=self._room_s(room),
        )

    def _room_s(self, room: int) -> float | None:
        """How long `room` bytes last at the pace of the newest commits [s]; None before a minute of them."""
        with suppress(sqlite3.Error):
            pace = bytes_per_s(self._log.journal.db)
            return None if pace is None else max(0, room) / pace
        return None

    def _close(self) -> None:
        self._writer.close()
        self.outbox.close()
        self._log.close()
        self._months.close()
        self._records.close()
        self.catalogue.close()
        self._lock.release()
