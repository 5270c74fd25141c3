"""The sender's behaviour against a sink that does as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from simulators.line_protocol import split
from sync.outbox import Fact, SampleColumns, SinkProgress
from sync.retry import Backoff
from sync.sender import Sender
from sync.sink import Accepted, Held, Outcome, Pong, Rejected, RetryAfter, Unreachable
from tests.sync.memory_outbox import MemoryOutbox, columns

SECOND_NS = 1_000_000_000
QUICK = Backoff(first=0.02, ceiling=0.05, held_first=0.02, held_ceiling=0.05)


@dataclass
class ObedientSink:
    """Keeps what it accepts. answer: asked before each write; None accepts."""

    answer: Callable[[bytes], Outcome | None] = lambda body: None
    boot: str = "run-1"
    reachable: bool = True
    delay_s: float = 0.0
    stored: dict[tuple[bytes, int], int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    writes: int = 0
    pings: int = 0
    closed: bool = False

    def write(self, body: bytes, lines: int) -> Outcome:
        time.sleep(self.delay_s)
        self.writes += 1
        if not self.reachable:
            return Unreachable("refused")
        outcome = self.answer(body)
        if outcome is None or isinstance(outcome, Accepted):
            found, _ = split(body, 1, 0)
            for line in found:
                self.stored[line.key, line.time] = self.stored.get((line.key, line.time), 0) + 1
            self.order.append(found[0].time)
        return outcome or Accepted()

    def ping(self) -> Pong | Unreachable:
        self.pings += 1
        return Pong(self.boot) if self.reachable else Unreachable("refused")

    def close(self) -> None:
        self.closed = True


@contextmanager
def sending(
    outbox: MemoryOutbox, sink: ObedientSink, settle_s: float = 60.0, **options: object
) -> Iterator[Sender]:
    sender = Sender(outbox, sink, "test", settle_s, **{"linger_s": 0.02, "backoff": QUICK, **options})
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


def wait_until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def now_ns() -> int:
    return time.time_ns()


def old_rows(n: int, size: int = 100) -> MemoryOutbox:
    """An outbox after an outage: n rows of a day ago."""
    outbox = MemoryOutbox()
    start = now_ns() - 86_400 * SECOND_NS
    for row in range(n):
        outbox.commit(columns(range(size), start + row * SECOND_NS))
    return outbox


def test_everything_committed_arrives_and_is_acknowledged() -> None:
    outbox, sink = old_rows(30), ObedientSink()
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
        assert sender.status().acknowledged == 3000
        assert sender.status().connected
    assert len(sink.stored) == 3000
    assert set(sink.stored.values()) == {1}
    assert sink.closed


def test_live_data_do_not_wait_for_the_backlog() -> None:
    outbox, sink = old_rows(400), ObedientSink(delay_s=0.02)
    with sending(outbox, sink, batch_lines=200) as sender:
        wait_until(lambda: len(sink.stored) > 500)
        committed = now_ns()
        outbox.commit(columns([7], committed))
        wait_until(lambda: any(at == committed for _, at in sink.stored))
        assert now_ns() - committed < 2 * SECOND_NS
        assert sender.status().backlog_rows > 100


def test_live_data_do_not_starve_the_backlog() -> None:
    outbox, sink = old_rows(20), ObedientSink(delay_s=0.01)
    stop = threading.Event()

    def keep_committing() -> None:
        while not stop.wait(0.005):
            outbox.commit(columns(range(100), now_ns()))

    feeder = threading.Thread(target=keep_committing)
    feeder.start()
    try:
        with sending(outbox, sink, batch_lines=200) as sender:
            wait_until(lambda: not sender.status().unsent or sender.status().unsent[0][0] > 20)
    finally:
        stop.set()
        feeder.join()


def test_the_backlog_goes_oldest_first() -> None:
    outbox, sink = old_rows(20), ObedientSink()
    with sending(outbox, sink, batch_lines=200) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
    assert sink.order == sorted(sink.order)


def test_history_committed_now_is_backlog_and_not_live() -> None:
    outbox, sink = old_rows(50), ObedientSink(delay_s=0.01)
    with sending(outbox, sink, batch_lines=100) as sender:
        wait_until(lambda: len(sink.order) > 3)
        for hour in range(20):
            outbox.commit(columns(range(100), now_ns() - (400_000 - hour) * SECOND_NS))
        fresh = now_ns()
        outbox.commit(columns(range(100), fresh))
        wait_until(lambda: fresh in sink.order)
        wait_until(lambda: sender.status().backlog_rows == 0)
    assert sink.order.index(fresh) < len(sink.order) - 20


def test_while_the_server_is_away_nothing_is_lost_and_it_says_so() -> None:
    outbox, sink = old_rows(5), ObedientSink(reachable=False)
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().last_error == "refused")
        assert not sender.status().connected
        assert sender.status().backlog_rows == 5
        assert sink.writes == 0
        sink.reachable = True
        wait_until(lambda: sender.status().backlog_rows == 0)
        assert sender.status().last_error == ""


def test_a_lost_connection_takes_back_what_was_not_settled() -> None:
    outbox, sink = old_rows(5), ObedientSink()
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
        sink.reachable = False
        outbox.commit(columns([1], now_ns()))
        wait_until(lambda: sender.status().backlog_rows == 6)
        sink.reachable = True
        wait_until(lambda: sender.status().backlog_rows == 0)
        assert sender.status().acknowledged == 501
    assert sorted(set(sink.stored.values())) == [1, 2]


def test_what_was_settled_is_not_sent_again() -> None:
    outbox, sink = old_rows(5), ObedientSink()
    with sending(outbox, sink, settle_s=0.2) as sender:
        wait_until(lambda: outbox.progress("test").low_water == 5)
        sink.reachable = False
        outbox.commit(columns([1], now_ns()))
        wait_until(lambda: not sender.status().connected)
        sink.reachable = True
        wait_until(lambda: sender.status().backlog_rows == 0)
    assert set(sink.stored.values()) == {1}


def test_an_idle_sink_settles_by_one_ping() -> None:
    outbox, sink = old_rows(1), ObedientSink()
    with sending(outbox, sink, settle_s=0.2):
        wait_until(lambda: outbox.progress("test").low_water == 1)
    assert sink.pings == 2  # one to begin, one to settle


def test_a_server_that_died_while_idle_settles_nothing() -> None:
    outbox, sink = old_rows(1), ObedientSink()
    with sending(outbox, sink, settle_s=0.3) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
        sink.stored.clear()
        sink.boot = "run-2"
        wait_until(lambda: len(sink.stored) == 100)
        wait_until(lambda: outbox.progress("test").low_water == 1)


def test_a_replaced_connection_to_another_run_takes_back() -> None:
    outbox, sink = old_rows(3), ObedientSink()
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
        sink.stored.clear()
        sink.boot = "run-2"
        broken = iter([Accepted(reconnected=True)])
        sink.answer = lambda body: next(broken, None)
        outbox.commit(columns([1], now_ns()))
        wait_until(lambda: len(sink.stored) == 301 and sender.status().backlog_rows == 0)


def test_a_replaced_connection_to_the_same_run_is_nothing() -> None:
    outbox, sink = old_rows(3), ObedientSink()
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
        sink.answer = lambda body: Accepted(reconnected=True)
        outbox.commit(columns([1], now_ns()))
        wait_until(lambda: sender.status().acknowledged == 301)
    assert set(sink.stored.values()) == {1}


def test_a_peer_that_drops_every_connection_and_tells_nothing_still_gets_the_data() -> None:
    outbox, sink = old_rows(10), ObedientSink(boot="", answer=lambda body: Accepted(reconnected=True))
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
    assert len(sink.stored) == 1000


def test_a_restart_sends_again_only_what_was_not_settled() -> None:
    outbox, sink = old_rows(10), ObedientSink()
    outbox.saved["test"] = SinkProgress(4, ((5, 6, now_ns() - 300 * SECOND_NS), (7, 8, now_ns())))
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
    start = min(int(row.time[0]) for row in outbox.rows.values() if isinstance(row, SampleColumns))
    assert sorted({(at - start) // SECOND_NS + 1 for _, at in sink.stored}) == [7, 8, 9, 10]


def test_progress_is_saved_a_few_times_a_second_and_at_the_end() -> None:
    outbox, sink = old_rows(200, size=10), ObedientSink()
    with sending(outbox, sink, batch_lines=10) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
    assert sink.writes >= 200
    assert outbox.saves <= 12
    saved = outbox.progress("test")
    assert saved.acked[-1][1] == 200


def test_a_refused_row_is_acknowledged_once_its_bad_lines_are_kept() -> None:
    outbox = old_rows(3)
    outbox.commit(Fact("event", (("source", "x"),), {"value": 13.0}, now_ns()))

    def refuse_unlucky(body: bytes) -> Outcome | None:
        return Rejected("HTTP 400: 13 is unlucky") if b"value=13.0" in body else None

    sink = ObedientSink(answer=refuse_unlucky)
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
        assert sender.status().dead_letters == 1
    (letter,) = outbox.dead
    assert letter.reason == "HTTP 400: 13 is unlucky"
    assert letter.line.startswith("event,source=x value=13.0")


def test_held_asks_seldom_and_goes_on_at_once_when_told() -> None:
    slow = Backoff(held_first=60, held_ceiling=60)
    allowed = threading.Event()
    sink = ObedientSink(answer=lambda body: None if allowed.is_set() else Held("HTTP 401: no"))
    outbox = old_rows(3)
    with sending(outbox, sink, backoff=slow) as sender:
        wait_until(lambda: sender.status().held)
        time.sleep(0.2)
        assert sink.writes == 1
        assert not sender.status().connected
        allowed.set()
        sender.retry_now()
        wait_until(lambda: sender.status().backlog_rows == 0)
        assert not sender.status().held


def test_retry_after_is_honoured() -> None:
    answers = iter([RetryAfter(0.4, "HTTP 429: slow down")])
    sink = ObedientSink(answer=lambda body: next(answers, None))
    begun = time.monotonic()
    outbox = old_rows(1)
    with sending(outbox, sink, backoff=Backoff(first=0.01)) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
    assert time.monotonic() - begun >= 0.4


@pytest.mark.parametrize(
    ("refusal", "boot", "times_stored"),
    [
        (RetryAfter(None, "HTTP 429"), "", 1),
        (RetryAfter(None, "HTTP 503", failed=True), "run-1", 1),
        (RetryAfter(None, "HTTP 503", failed=True), "", 2),
        (Held("HTTP 401"), "", 1),
    ],
)
def test_only_a_server_that_may_have_restarted_gets_anything_twice(
    refusal: Outcome, boot: str, times_stored: int
) -> None:
    outbox, sink = old_rows(3), ObedientSink(boot=boot)
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
        refusals = iter([refusal] * 3)
        sink.answer = lambda body: next(refusals, None)
        outbox.commit(columns([1], now_ns()))
        wait_until(lambda: sender.status().backlog_rows == 0)
        assert sender.status().acknowledged == 301
    first = min(sink.stored, key=lambda point: point[1])
    assert sink.stored[first] == times_stored


def test_an_outbox_that_fails_does_not_end_the_sender() -> None:
    outbox, sink = old_rows(2), ObedientSink()
    sender = Sender(outbox, sink, "test", linger_s=0.02, backoff=QUICK)
    real_read, failures = outbox.read, iter([OSError("disk I/O error")])

    def failing_read(first: int, last: int, max_rows: int) -> object:
        for error in failures:
            raise error
        return real_read(first, last, max_rows)

    outbox.read = failing_read  # type: ignore[method-assign, assignment]
    sender.start()
    try:
        wait_until(lambda: "outbox" in sender.status().last_error)
        sender.retry_now()
        wait_until(lambda: sender.status().backlog_rows == 0)
    finally:
        sender.stop()


def test_rows_that_are_no_more_are_passed_over() -> None:
    outbox, sink = old_rows(5), ObedientSink()
    for seq in (1, 2, 3):
        del outbox.rows[seq]
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
    assert len(sink.stored) == 200


def test_an_idle_sender_is_quiet() -> None:
    outbox, sink = old_rows(1), ObedientSink()
    with sending(outbox, sink) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
        before = time.process_time()
        writes = sink.writes
        time.sleep(0.5)
        assert sink.writes == writes
        assert sink.pings == 1
        assert time.process_time() - before < 0.1


def test_bad_values_do_not_reach_the_sink() -> None:
    outbox = MemoryOutbox()
    row = columns(range(4), now_ns())
    row.value[:] = [1.0, np.nan, np.inf, 2.0]
    outbox.commit(row)
    bodies: list[bytes] = []

    def keep(body: bytes) -> None:
        bodies.append(body)

    with sending(outbox, ObedientSink(answer=keep)) as sender:
        wait_until(lambda: sender.status().backlog_rows == 0)
    assert b"".join(bodies).count(b"value=") == 2
