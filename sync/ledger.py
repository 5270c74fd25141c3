"""A sink's books: what it acknowledged, what of that is settled, how much it was; saved as it changes."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from sync.outbox import Outbox
from sync.ranges import AckedRanges

SAVE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Entry:
    """One acknowledgement: rows first..last at `at_ns`, and what they carried."""

    first: int
    last: int
    at_ns: int
    samples: int
    lines: int


class Ledger:
    """Written by the sender's thread, read from any.

    Every change is saved within half a second; what was not saved when the process died is only sent again.
    `contact_ns` is the last time the server was known to be the run that acknowledged (see sync.ranges).
    """

    def __init__(self, outbox: Outbox, sink: str, settle_ns: int) -> None:
        self._outbox = outbox
        self._sink = sink
        self._settle_ns = settle_ns
        self._lock = threading.Lock()
        self._ranges = AckedRanges(settle_ns)
        self._recent: deque[Entry] = deque()
        self._save_due = 0.0
        self.unsaved = False
        self.contact_ns = 0
        self.samples = 0
        self.lines = 0

    def resume(self) -> None:
        """Load what was saved; its youngest acknowledgement was the last contact that is known."""
        progress = self._outbox.progress(self._sink)
        with self._lock:
            self._ranges = AckedRanges.from_progress(progress, self._settle_ns)
            self.contact_ns = max((at for _, _, at in progress.acked), default=0)
            self._ranges.take_back_unsettled(self.contact_ns)

    def acknowledge(self, entry: Entry) -> None:
        """Note one acknowledgement; with lines in it, it was a contact with the server too."""
        with self._lock:
            self._ranges.acknowledge(entry.first, entry.last, entry.at_ns)
            self.samples += entry.samples
            self.lines += entry.lines
            self._recent.append(entry)
        if entry.lines:
            self.confirm(entry.at_ns)
        self.unsaved = True

    def confirm(self, at_ns: int) -> None:
        """The server was there at `at_ns`, the same run as before: settle what is old enough."""
        with self._lock:
            self.contact_ns = at_ns
            self._ranges.settle(at_ns)
            # Twice the window: a range takes the time of its youngest row, so it settles after its oldest.
            while self._recent and at_ns - self._recent[0].at_ns >= 2 * self._settle_ns:
                self._recent.popleft()
        self.unsaved = True

    def take_back(self) -> None:
        """The server may have lost what is not settled: it counts as unsent again."""
        with self._lock:
            lost = self._ranges.take_back_unsettled(self.contact_ns)
            kept: deque[Entry] = deque()
            for entry in self._recent:
                if any(first <= entry.first <= last for first, last in lost):
                    self.samples -= entry.samples
                    self.lines -= entry.lines
                else:
                    kept.append(entry)
            self._recent = kept
        self.unsaved |= bool(lost)

    def unsent(self, upto: int) -> tuple[tuple[int, int], ...]:
        """What is not acknowledged up to `upto`, oldest first."""
        with self._lock:
            return tuple(self._ranges.gaps(upto))

    def oldest_gap(self, upto: int) -> tuple[int, int] | None:
        with self._lock:
            return next(self._ranges.gaps(upto), None)

    def settles_in_ns(self, now_ns: int) -> int | None:
        """How long until one contact would settle everything [ns]; None when everything is settled."""
        with self._lock:
            youngest = self._ranges.newest_unsettled_ns(self.contact_ns)
        return None if youngest is None else max(0, youngest + self._settle_ns - now_ns)

    def save_if_due(self) -> None:
        if self.unsaved and time.monotonic() >= self._save_due:
            self.save()

    def save(self) -> None:
        """Persist what changed since the last time."""
        if not self.unsaved:
            return
        self._save_due = time.monotonic() + SAVE_EVERY_S
        self.unsaved = False
        with self._lock:
            progress = self._ranges.to_progress()
        try:
            self._outbox.save_progress(self._sink, progress)
        except Exception:
            self.unsaved = True
            raise
