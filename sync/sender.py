"""The sender: one thread per sink that carries the outbox to it, for as long as it takes.

Two lanes take turns on one connection. *Live* has the first turn and sends what was committed last;
*backlog* sends the oldest gap, in requests sized to take about a second, so that neither starves the other.

A lost connection takes back at once what is not settled. So do a server's own failure and a connection that
was silently replaced, unless the server proves by the start time of its process that it is still the same
run. A server that only limits our rate gets nothing twice: that would make it worse.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sync.delivery import Delivered, Delivery, Stopped
from sync.ledger import SAVE_EVERY_S, Entry, Ledger
from sync.outbox import Outbox, Parcel
from sync.retry import Backoff, NotNow, may_have_restarted
from sync.sink import Held, Pong, RetryAfter, Sink, Unreachable

log = logging.getLogger(__name__)

SECOND_NS = 1_000_000_000
IDLE_WAIT_S = 0.25
"""How long an idle sender sleeps at most, and so how long a stop may take [s]."""
OUTBOX_WAIT_S = 5.0
BACKLOG_TURN_S = 1.0
"""How long one backlog request should take: the most that it can delay the live lane."""
LIVE_TURN_S = 1.0
LIVE_LAG_ROWS = 400
"""When live is this many commits behind, it jumps to the newest and leaves the rest to the backlog."""
CURRENT_NS = 3600 * SECOND_NS
"""What was measured longer ago is no news: committed now (an import), it still travels as backlog."""
MIN_LINES = 200
HABITUAL_BREAKS = 3
"""A peer that drops every connection does so by habit, not by restarting each time."""


@dataclass(frozen=True, slots=True)
class SenderStatus:
    """A sink's state at one moment; times are UTC ns, 0 where there is none.

    backlog_rows: journal rows not acknowledged; unsent: the same as inclusive seq ranges, oldest first.
    acknowledged: samples acknowledged since start, each counted once even when it was sent again.
    oldest_unsent: time of the oldest sample known to wait. held: waits for a person. skipped: rows that the
    outbox could not read.
    """

    sink: str
    connected: bool
    held: bool
    since: int
    backlog_rows: int
    unsent: tuple[tuple[int, int], ...]
    acknowledged: int
    acknowledged_lines: int
    dead_letters: int
    skipped: int
    oldest_unsent: int
    last_error: str
    last_success: int


class Sender:
    """Carries one outbox to one sink.

    name: under which progress and dead letters are kept. settle_s: how long a server's word is not yet its
    disk [s]. now: UTC ns. batch_lines: most lines in a request. linger_s: how long live commits are gathered
    into one request [s]. chance: uniform in [0, 1), for the jitter.
    """

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        name: str,
        settle_s: float = 60.0,
        now: Callable[[], int] = time.time_ns,
        *,
        batch_lines: int = 5000,
        linger_s: float = 1.0,
        backoff: Backoff | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._name = name
        self._now = now
        self._linger_s = linger_s
        self._backoff = backoff or Backoff()
        self._chance = chance
        self._delivery = Delivery(outbox, sink, name, now, batch_lines)
        self._ledger = Ledger(outbox, name, round(settle_s * SECOND_NS))
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        # Lanes.
        self._backlog_lines = batch_lines
        self._live_next = 0
        self._live_due = 0.0
        # The server, as far as known.
        self._in_session = False
        self._boot = ""
        self._breaks = 0
        self._failures = 0
        self._last_failure: NotNow | None = None
        # For the status only.
        self._connected = False
        self._since = now()
        self._dead_letters = 0
        self._skipped = 0
        self._oldest_unsent = 0
        self._last_error = ""
        self._last_success = 0

    def start(self) -> None:
        """Load the progress and begin; what an earlier life had not settled is sent again."""
        if self._thread is not None:
            raise RuntimeError(f"sender {self._name} is already started")
        self._stop.clear()
        self._ledger.resume()
        self._thread = threading.Thread(target=self._run, name=f"sync-{self._name}", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """End the thread after the request under way; what is not sent stays in the outbox."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def retry_now(self) -> None:
        """End a wait for the server: somebody changed the token, the bucket or the network."""
        self._wake.set()

    def tags_changed(self) -> None:
        """Points were renamed or re-tagged: look their tags up again."""
        self._delivery.encoder.forget()

    def status(self) -> SenderStatus:
        """The state now; cheap, from any thread."""
        unsent = self._ledger.unsent(self._outbox.newest())
        return SenderStatus(
            sink=self._name,
            connected=self._connected,
            held=isinstance(self._last_failure, Held),
            since=self._since,
            backlog_rows=sum(last - first + 1 for first, last in unsent),
            unsent=unsent,
            acknowledged=self._ledger.samples,
            acknowledged_lines=self._ledger.lines,
            dead_letters=self._dead_letters,
            skipped=self._skipped,
            oldest_unsent=self._oldest_unsent if unsent else 0,
            last_error=self._last_error,
            last_success=self._last_success,
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                wait = self._turn()
            except Exception as error:
                # The outbox failed (a full disk, a corrupt file): its own alarms tell, here we try again.
                log.exception("sync %s: the outbox failed", self._name)
                self._last_error = f"the outbox failed: {type(error).__name__}"
                wait = OUTBOX_WAIT_S
            if wait > 0:
                self._wake.wait(wait)
                self._wake.clear()
        try:
            self._ledger.save()
        except Exception:
            log.exception("sync %s: progress not saved; the last second will be sent again", self._name)
        self._sink.close()

    def _turn(self) -> float:
        """One round of both lanes; how long to wait before the next [s]."""
        if not self._in_session and (failure := self._open_session()) is not None:
            return self._failed(failure)
        newest = self._outbox.newest()
        worked = False
        for lane in (self._live_turn, self._backlog_turn):
            result = lane(newest)
            if isinstance(result, Held | RetryAfter | Unreachable):
                return self._failed(result)
            worked |= result
        self._ledger.save_if_due()
        return 0.0 if worked else self._idle(newest)

    def _open_session(self) -> NotNow | None:
        """Ask the server who it is. One that has no ping for us may still take what we write."""
        answer = self._sink.ping()
        if isinstance(answer, Unreachable):
            return answer
        pong = answer if isinstance(answer, Pong) else Pong()
        doubtful = isinstance(self._last_failure, RetryAfter) and self._last_failure.failed
        if may_have_restarted(self._boot, pong, reconnected=doubtful):
            self._ledger.take_back()
        self._boot = pong.boot
        self._in_session = True
        self._live_next = 0
        if not isinstance(self._last_failure, Held | RetryAfter):
            self._set_connected(True)
        return None

    # The lanes. Each says whether it did anything, or why nothing can be sent now.

    def _live_turn(self, newest: int) -> bool | NotNow:
        """Send what was committed since the last turn; the commits of `linger_s` share a request."""
        if self._live_next == 0 or newest - self._live_next > LIVE_LAG_ROWS:
            self._live_next = self._newest_unsent(newest)
        started = time.monotonic()
        if started < self._live_due:
            return False
        worked = False
        while self._live_next <= newest and time.monotonic() - started < LIVE_TURN_S:
            first = self._live_next
            parcel = self._outbox.read(first, newest, self._delivery.batch_lines)
            last = newest if parcel is None else parcel.last_seq
            if parcel is None or _newest_time(parcel) > self._now() - CURRENT_NS:
                failure = self._carry(parcel, first, last)
                if failure is not None:
                    return failure
                worked = True
            self._live_next = last + 1
        if worked:
            self._live_due = time.monotonic() + self._linger_s
        return worked

    def _backlog_turn(self, newest: int) -> bool | NotNow:
        """Send a piece of the oldest gap behind the live lane."""
        gap = self._ledger.oldest_gap(min(newest, self._live_next - 1))
        if gap is None:
            return False
        first, last = gap
        parcel = self._outbox.read(first, last, self._backlog_lines)
        if parcel is not None and parcel.samples is not None and len(parcel.samples.time):
            self._oldest_unsent = int(parcel.samples.time.min())
        failure = self._carry(parcel, first, last if parcel is None else parcel.last_seq)
        return True if failure is None else failure

    def _newest_unsent(self, newest: int) -> int:
        """Where live begins: at the newest row, or behind it when the sink has it already."""
        unsent = self._ledger.unsent(newest)
        return newest if unsent and unsent[-1][1] == newest else newest + 1

    def _carry(self, parcel: Parcel | None, first: int, last: int) -> NotNow | None:
        """Deliver and acknowledge first..last; rows that are no more need no delivery."""
        if parcel is None:
            self._ledger.acknowledge(Entry(first, last, self._now(), 0, 0))
            return None
        result = self._delivery.send(parcel)
        if isinstance(result, Stopped):
            return result.outcome
        self._resize(result)
        if result.reconnected and (lost := self._after_break()) is not None:
            return lost
        at = self._now()
        self._ledger.acknowledge(Entry(first, last, at, result.samples, result.lines))
        self._dead_letters += result.dead_letters
        self._skipped += len(parcel.skipped)
        if result.lines:
            self._succeeded(at, broken=result.reconnected)
        return None

    def _resize(self, result: Delivered) -> None:
        """Size backlog requests by the speed of the last one."""
        if result.lines >= MIN_LINES and result.seconds > 0:
            fitting = round(BACKLOG_TURN_S * result.lines / result.seconds)
            self._backlog_lines = max(MIN_LINES, min(fitting, self._delivery.batch_lines))

    # What answers mean.

    def _succeeded(self, at: int, *, broken: bool) -> None:
        self._last_success = at
        self._last_error = ""
        self._last_failure = None
        self._failures = 0
        self._breaks = self._breaks if broken else 0
        self._set_connected(True)

    def _failed(self, outcome: NotNow) -> float:
        """Note the failure, take back what may be lost by it; how long to wait [s]."""
        self._failures += 1
        self._in_session = False
        self._last_failure = outcome
        self._set_connected(False)
        if outcome.reason != self._last_error:
            log.warning("sync %s: %s", self._name, outcome.reason)
        self._last_error = outcome.reason
        if isinstance(outcome, Unreachable):
            self._ledger.take_back()
        self._ledger.save_if_due()
        return self._backoff.delay(outcome, self._failures, self._chance())

    def _after_break(self) -> NotNow | None:
        """The connection was replaced on the way: a failure, unless the server proves to be the same run."""
        self._breaks += 1
        if self._breaks > HABITUAL_BREAKS:
            return None
        answer = self._sink.ping()
        if isinstance(answer, Unreachable):
            return answer
        pong = answer if isinstance(answer, Pong) else Pong()
        if may_have_restarted(self._boot, pong, reconnected=True):
            words = "the server may have restarted: what it had not settled is sent again"
            return RetryAfter(0.0, words, failed=True)
        return None

    def _idle(self, newest: int) -> float:
        """Nothing could be sent: settle by a ping when it is time, then wait for the next commit."""
        settles_in = self._ledger.settles_in_ns(self._now())
        if settles_in == 0:
            failure = self._confirm()
            if failure is not None:
                return self._failed(failure)
        self._ledger.save_if_due()
        if self._live_next <= newest:
            return max(0.0, self._live_due - time.monotonic())
        patience = SAVE_EVERY_S if self._ledger.unsaved else IDLE_WAIT_S
        self._outbox.wait_beyond(newest, min(patience, (settles_in or SECOND_NS) / SECOND_NS))
        return 0.0

    def _confirm(self) -> NotNow | None:
        """An idle connection proves nothing: ask whether the server still is the one that acknowledged."""
        answer = self._sink.ping()
        if isinstance(answer, Unreachable):
            return answer
        pong = answer if isinstance(answer, Pong) else Pong()
        if may_have_restarted(self._boot, pong, reconnected=False):
            self._boot = pong.boot
            self._ledger.take_back()
        else:
            self._ledger.confirm(self._now())
        return None

    def _set_connected(self, connected: bool) -> None:
        if connected != self._connected:
            self._connected = connected
            self._since = self._now()
            if connected:
                log.info("sync %s: connected", self._name)


def _newest_time(parcel: Parcel) -> int:
    """The time of the newest thing in the parcel [UTC ns], 0 when it is empty."""
    times = [int(rows.start.max()) for rows in parcel.intervals if len(rows.start)]
    times += [fact.time for fact in parcel.facts]
    if parcel.samples is not None and len(parcel.samples.time):
        times.append(int(parcel.samples.time.max()))
    return max(times, default=0)
