"""The sender against Debian's own servers: away, killed, closed to us, and picky."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sync.influx import InfluxSink, InfluxTarget
from sync.outbox import Fact
from sync.retry import Backoff
from sync.sender import Sender
from sync.sink import Accepted, Held, Pong, Rejected
from tests.servers import influxd as influxd_server
from tests.servers import victoria_metrics as vm_server
from tests.servers.influxd import Influxd
from tests.servers.victoria_metrics import VictoriaMetrics
from tests.sync.memory_outbox import MemoryOutbox, columns

pytestmark = pytest.mark.servers

SECOND_NS = 1_000_000_000
START_NS = time.time_ns() // SECOND_NS * SECOND_NS - 600 * SECOND_NS
SERIES = range(40)
QUICK = Backoff(first=0.05, ceiling=0.2, held_first=0.1, held_ceiling=0.2)


def v1(server: Influxd, **changes: object) -> InfluxTarget:
    return InfluxTarget(server.url, api="v1", database=server.database, timeout_s=5, **changes)


def v2(server: VictoriaMetrics, **changes: object) -> InfluxTarget:
    return InfluxTarget(server.url, org="heyzack", bucket="buildings", timeout_s=5, **changes)


def commit_second(outbox: MemoryOutbox, second: int) -> None:
    outbox.commit(columns(SERIES, START_NS + second * SECOND_NS, value=20 + second / 100))


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def sending(outbox: MemoryOutbox, target: InfluxTarget, settle_s: float = 60.0) -> Iterator[Sender]:
    sender = Sender(outbox, InfluxSink(target), "test", settle_s, linger_s=0.05, backoff=QUICK)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


def everything_sent(sender: Sender) -> Callable[[], bool]:
    return lambda: sender.status().backlog_rows == 0


def expected(seconds: int) -> dict[tuple[str, int], float]:
    return {
        (f"p{series}", START_NS + second * SECOND_NS): 20 + second / 100
        for second in range(seconds)
        for series in SERIES
    }


def test_an_influxd_that_was_away_has_every_sample_once(influxd: Influxd) -> None:
    outbox = MemoryOutbox()
    with sending(outbox, v1(influxd)) as sender:
        for second in range(20):
            commit_second(outbox, second)
        wait_until(everything_sent(sender))
        influxd.stop()
        for second in range(20, 60):
            commit_second(outbox, second)
        wait_until(lambda: not sender.status().connected)
        assert sender.status().last_error.startswith(("refused", "connection lost"))
        influxd.start()
        wait_until(everything_sent(sender))
        assert influxd.values("temperature") == expected(60)
        assert sender.status().acknowledged == 60 * len(SERIES)
        assert sender.status().connected


def test_a_victoria_metrics_that_was_away_has_every_sample_once(victoria_metrics: VictoriaMetrics) -> None:
    outbox = MemoryOutbox()
    with sending(outbox, v2(victoria_metrics)) as sender:
        for second in range(20):
            commit_second(outbox, second)
        wait_until(everything_sent(sender))
        victoria_metrics.stop()
        for second in range(20, 60):
            commit_second(outbox, second)
        wait_until(lambda: not sender.status().connected)
        victoria_metrics.start()
        wait_until(everything_sent(sender))
    found = victoria_metrics.values("temperature")
    assert sorted(found) == sorted((p, t // 1_000_000, v) for (p, t), v in expected(60).items())


def test_what_a_killed_server_acknowledged_but_forgot_is_sent_again(
    victoria_metrics: VictoriaMetrics,
) -> None:
    outbox = MemoryOutbox()
    with sending(outbox, v2(victoria_metrics)) as sender:
        for second in range(20):
            commit_second(outbox, second)
        wait_until(everything_sent(sender))
        victoria_metrics.kill()  # within seconds of its 204: nothing of it is on its disk
        victoria_metrics.start()  # back before the sender had anything to say to it
        commit_second(outbox, 20)
        wait_until(lambda: len(victoria_metrics.values("temperature")) == 21 * len(SERIES))
        wait_until(everything_sent(sender))
        assert sender.status().acknowledged == 21 * len(SERIES)
    found = victoria_metrics.values("temperature")
    assert sorted(found) == sorted((p, t // 1_000_000, v) for (p, t), v in expected(21).items())


def test_a_server_that_died_and_returned_while_nothing_was_sent_is_found_out(
    victoria_metrics: VictoriaMetrics,
) -> None:
    outbox = MemoryOutbox()
    with sending(outbox, v2(victoria_metrics), settle_s=4.0) as sender:
        commit_second(outbox, 0)
        wait_until(everything_sent(sender))
        victoria_metrics.kill()
        victoria_metrics.start()
        wait_until(lambda: len(victoria_metrics.values("temperature")) == len(SERIES))
        wait_until(everything_sent(sender))


def test_both_servers_tell_which_run_they_are(influxd: Influxd, victoria_metrics: VictoriaMetrics) -> None:
    """A start is told to the second, and believed once a second one cannot share it."""
    sinks = [InfluxSink(v1(influxd)), InfluxSink(v2(victoria_metrics))]
    time.sleep(2.1)
    before = [sink.ping() for sink in sinks]
    assert [sink.ping() for sink in sinks] == before
    for server in (influxd, victoria_metrics):
        server.stop()
        server.start()
    time.sleep(2.1)
    for first, after in zip(before, [sink.ping() for sink in sinks], strict=True):
        assert isinstance(first, Pong)
        assert isinstance(after, Pong)
        assert first.boot
        assert after.boot not in ("", first.boot)
    for sink in sinks:
        sink.close()


def test_a_wrong_password_holds_the_data_until_somebody_acts(tmp_path: Path) -> None:
    server = Influxd(tmp_path, auth=True)
    server.start()
    try:
        server.create()
        outbox = MemoryOutbox()
        commit_second(outbox, 0)
        wrong = v1(server, username=influxd_server.USER, password="no")
        with sending(outbox, wrong) as sender:
            wait_until(lambda: sender.status().held)
            assert "401" in sender.status().last_error
            assert not outbox.dead
        right = v1(server, username=influxd_server.USER, password=influxd_server.PASSWORD)
        with sending(outbox, right) as sender:
            wait_until(everything_sent(sender))
        assert server.values("temperature") == expected(1)
    finally:
        server.kill()


def test_a_v2_server_may_want_a_user_and_password(tmp_path: Path) -> None:
    server = VictoriaMetrics(tmp_path, auth=True)
    server.start()
    try:
        sink = InfluxSink(v2(server, username=vm_server.USER, password=vm_server.PASSWORD))
        assert sink.write(b"m,point=p value=1 1700000000000000000\n", 1) == Accepted()
        sink.close()
        sink = InfluxSink(v2(server, token="no"))
        assert isinstance(sink.write(b"m,point=p value=1 1700000000000000000\n", 1), Held)
        sink.close()
    finally:
        server.kill()


def test_a_missing_database_holds_the_data(influxd: Influxd) -> None:
    sink = InfluxSink(InfluxTarget(influxd.url, api="v1", database="nowhere", timeout_s=5))
    outcome = sink.write(b"m value=1 1700000000000000000\n", 1)
    assert isinstance(outcome, Held)
    assert "404" in outcome.reason
    assert "nowhere" in outcome.reason
    sink.close()


def test_a_malformed_line_is_refused_with_the_servers_words(influxd: Influxd) -> None:
    sink = InfluxSink(v1(influxd))
    outcome = sink.write(b"m value=1 1700000000000000000\nm value=, 1700000000000000000\n", 2)
    assert isinstance(outcome, Rejected)
    assert "unable to parse" in outcome.reason
    sink.close()


def test_one_conflicting_line_in_five_thousand_costs_one_dead_letter(influxd: Influxd) -> None:
    """The schema never writes a string where a float was; here another program did so first."""
    sink = InfluxSink(v1(influxd))
    sink.write(f'event,kind=other,source=boiler severity_code="high" {START_NS}\n'.encode(), 1)
    sink.close()
    outbox = MemoryOutbox()
    for second in range(125):
        outbox.commit(columns(range(40), START_NS + second * SECOND_NS))
    outbox.commit(Fact("event", (("source", "boiler"), ("kind", "x")), {"severity_code": 2.0}, START_NS))
    with sending(outbox, v1(influxd)) as sender:
        wait_until(everything_sent(sender))
        assert sender.status().dead_letters == 1
        assert sender.status().connected
    (letter,) = outbox.dead
    assert letter.line.startswith("event,kind=x,source=boiler severity_code=2.0")
    assert "field type conflict" in letter.reason
    assert len(influxd.values("temperature")) == 5000
