"""The journal as the rest of the store uses it: it always takes rows, on disk or, when it must, in memory.

Rows that the disk does not take keep their seq in a bounded memory tail, can be read and sent from there,
and go to disk as soon as it takes them again. A damaged journal is set aside and continued by a new one.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Lock

from gateway.store.database import ReaderPool, transaction
from gateway.store.errors import StoreError, is_corrupt, is_unwritable
from gateway.store.journal import Draft, Head, Journal, Row, RowKind, make_rows, read_rows
from gateway.store.recovery import noted_head, open_or_replace, set_aside
from gateway.store.salvage import salvage_head, salvage_mark, salvage_rows, salvage_sinks

log = logging.getLogger(__name__)

NAME = "journal.db"
MEMORY_LIMIT = 64 << 20
_ROW_OVERHEAD = 256
_UNKNOWN_ROWS = 1_000_000
"""Seq skipped when nobody knows how far a damaged journal had come: more than a compactor lags behind."""


class Log:
    """Written by the writer thread only; read from any thread."""

    def __init__(self, folder: Path, now: Callable[[], int]) -> None:
        self.path = folder / NAME
        self._folder = folder
        self._now = now
        self.journal, aside = open_or_replace(self.path, self._open, now())
        self.pool = ReaderPool(self.path)
        self._asides: deque[Path] = deque()
        self._recovering_below = 0
        self._known_below = 0
        self.dropped = self.journal.note("dropped")
        self.quarantined = self.journal.note("quarantined")
        self._saved_counters = (self.dropped, self.quarantined)
        self._tail: deque[Row] = deque()
        self._tail_bytes = 0
        self._tail_lock = Lock()
        self._head = self.journal.head
        self._grown = Condition()
        self.relieve: Callable[[int], bool] = lambda needed: False
        """Makes room on a full disk, given the bytes needed; whether trying again is worth it."""
        if aside is not None:
            self._continue_from(aside)

    @property
    def head(self) -> Head:
        """The newest row, in memory or on disk."""
        return self._head

    @property
    def in_memory(self) -> bool:
        return bool(self._tail)

    def append(self, drafts: Sequence[Draft]) -> bool:
        """Take rows; whether they are durable. Never raises for what the disk does."""
        rows = make_rows(self._head, drafts, self._now())
        durable = not self._tail and self._insert(rows)
        if not durable:
            self._keep_in_memory(rows)
        with self._grown:
            self._head = Head(rows[-1].seq, rows[-1].samples, rows[-1].facts)
            self._grown.notify_all()
        return durable

    def flush_memory(self) -> bool:
        """Try to bring the memory tail to disk; whether nothing is left in memory."""
        rows = list(self._tail)
        if rows and self._insert(rows):
            with self._tail_lock:
                self._tail.clear()
            self._tail_bytes = 0
            log.info("the disk takes rows again; %d rows brought from memory", len(rows))
        return not self._tail

    def write(self, change: Callable[[Journal], None]) -> bool:
        """One durable transaction on the journal's other tables; whether the disk took it."""
        for attempt in (1, 2):
            try:
                with transaction(self.journal.db):
                    change(self.journal)
                return True
            except sqlite3.DatabaseError as error:
                if attempt == 2 or not self._can_retry(error, 1 << 16):
                    return False
        return False

    def newest(self) -> int:
        return self._head.seq

    def wait_beyond(self, seq: int, timeout_s: float) -> int:
        with self._grown:
            self._grown.wait_for(lambda: self._head.seq > seq, timeout_s)
            return self._head.seq

    def wake(self) -> None:
        """Let waiters go: the store closes."""
        with self._grown:
            self._grown.notify_all()

    def read(self, first: int, last: int, limit_n: int) -> list[Row]:
        """Rows first..last from disk and memory, as many as hold about limit_n samples and facts.

        Raises sqlite3.DatabaseError or StoreError when they cannot be read now: no rows and no answer are
        different things, a sender takes the first for "nothing to send". Memory is looked at first: what
        moves to disk meanwhile is seen twice, never not.
        """
        with self._tail_lock:
            held = [row for row in self._tail if first <= row.seq <= last]
        recovering = first <= self._recovering_below
        with self.pool.lend() as db:
            rows, complete = read_rows(db, first, last, limit_n)
        if recovering:
            raise StoreError("rows are being recovered from a damaged journal")
        after = rows[-1].seq if rows else first - 1
        total = sum(row.n for row in rows)
        for row in held if complete else ():
            if rows and total + row.n > limit_n:
                break
            if row.seq > after:
                rows.append(row)
                total += row.n
        return rows

    def count_dropped(self, samples: int) -> None:
        self.dropped += samples

    def count_quarantined(self, rows: int) -> None:
        self.quarantined += rows

    def save_counters_if_changed(self) -> None:
        counters = (self.dropped, self.quarantined)
        if counters != self._saved_counters and self.write(_write_counters(*counters)):
            self._saved_counters = counters

    def close(self) -> None:
        if not self.flush_memory():
            log.error("%d rows were never taken by the disk and end with this process", len(self._tail))
        self.save_counters_if_changed()
        self.pool.close()
        self.journal.close()
        self.wake()

    def _open(self) -> Journal:
        return Journal(self.path, Head(*noted_head(self._folder)))

    def _insert(self, rows: Sequence[Row]) -> bool:
        for attempt in (1, 2, 3):
            try:
                self.journal.insert(rows)
                return True
            except sqlite3.DatabaseError as error:
                needed = sum(len(row.payload) + _ROW_OVERHEAD for row in rows)
                if attempt == 3 or not self._can_retry(error, needed):
                    return False
        return False

    def _can_retry(self, error: sqlite3.DatabaseError, needed: int) -> bool:
        if is_corrupt(error):
            self.replace()
            return True
        if is_unwritable(error):
            log.warning("the disk does not take rows: %s", error)
            return self.relieve(needed)
        log.error("the journal cannot be written: %s", error)
        return False

    def replace(self) -> None:
        """Set a damaged journal aside and go on with a new one, above every seq ever given."""
        with suppress(sqlite3.Error):
            self.journal.close()
        aside = set_aside(self.path, self._now())
        self.pool.forget()
        self.journal = Journal(self.path, self._head)
        self._begin_recovery(aside, self._head.seq)

    def recover(self) -> Iterator[None]:
        """Bring what can be read of damaged journals, in steps; what cannot is counted as quarantined."""
        while self._asides:
            aside = self._asides[0]
            for rows in salvage_rows(aside, self._recovering_below):
                self.journal.insert(rows, older=True)
                yield
            self._asides.popleft()
            self.quarantined += self._count_missing(aside)
            log.warning("recovered what could be read of %s", aside.name)
        self._recovering_below = 0

    @property
    def is_recovering(self) -> bool:
        return bool(self._asides)

    def _continue_from(self, aside: Path) -> None:
        """After a damaged journal was found at open: go on above the newest seq that it can have given."""
        found = salvage_head(aside)
        base = self.journal.head
        unknown = Head(base.seq + _UNKNOWN_ROWS, base.samples, base.facts)
        self.journal.raise_head(found or unknown)
        self._head = self.journal.head
        self.quarantined += int(found is None)
        self._begin_recovery(aside, found.seq if found else base.seq)

    def _begin_recovery(self, aside: Path, known: int) -> None:
        """The sinks' progress comes over at once, the rows in the background: until then none are missing."""
        self._asides.append(aside)
        self._recovering_below = self.journal.head.seq
        self._known_below = known
        self.write(lambda journal: salvage_sinks(aside, journal.db))

    def _count_missing(self, aside: Path) -> int:
        """Rows that were neither settled and compacted, nor read from the damaged journal."""
        db = self.journal.db
        low, *_ = db.execute("SELECT min(low_water) FROM sink").fetchone()
        compacted = salvage_mark(aside)
        if compacted is None:
            compacted = noted_head(self._folder)[0]
        first = min(compacted, compacted if low is None else int(low)) + 1
        last = self._known_below
        kept = db.execute("SELECT count(*) FROM journal WHERE seq BETWEEN ? AND ?", (first, last)).fetchone()
        return max(0, last - first + 1 - int(kept[0]))

    def _keep_in_memory(self, rows: Sequence[Row]) -> None:
        with self._tail_lock:
            for row in rows:
                self._tail.append(row)
                self._tail_bytes += len(row.payload) + _ROW_OVERHEAD
            while self._tail_bytes > MEMORY_LIMIT and len(self._tail) > 1:
                oldest = self._tail.popleft()
                self._tail_bytes -= len(oldest.payload) + _ROW_OVERHEAD
                self.dropped += oldest.n if oldest.kind == RowKind.SAMPLES else 0


def _write_counters(dropped: int, quarantined: int) -> Callable[[Journal], None]:
    def write(journal: Journal) -> None:
        journal.set_note("dropped", dropped)
        journal.set_note("quarantined", quarantined)

    return write
