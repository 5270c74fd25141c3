"""Sifting a refused body."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sync.deadletter import MAX_REQUESTS, sift
from sync.line_protocol import Body
from sync.sink import Accepted, Held, Outcome, Rejected, TooLarge, Unreachable


@dataclass
class PickyServer:
    """Refuses a body with a bad line, keeping the good ones of it or not; refuses what is over its limit."""

    bad: set[bytes]
    keeps_good: bool = True
    limit: int = 10**9
    stored: set[bytes] = field(default_factory=set)
    requests: int = 0

    def write(self, body: bytes, lines: int) -> Outcome:
        self.requests += 1
        held = body.splitlines()
        assert len(held) == lines
        if len(body) > self.limit:
            return TooLarge("HTTP 413")
        wrong = self.bad.intersection(held)
        if not wrong or self.keeps_good:
            self.stored.update(line for line in held if line not in self.bad)
        return Rejected(f"HTTP 400: unable to parse {min(wrong)!r}") if wrong else Accepted()


def body(n: int) -> Body:
    return Body(b"".join(b"m v=%d\n" % i for i in range(n)), n)


def line(i: int) -> bytes:
    return b"m v=%d" % i


def test_one_bad_line_in_five_thousand_costs_one_dead_letter_and_few_requests() -> None:
    server = PickyServer(bad={line(3210)}, keeps_good=False)
    result = sift(body(5000), Rejected("HTTP 400: first"), server.write)
    assert [text for text, _ in result.refused] == ["m v=3210"]
    assert result.refused[0][1].startswith("HTTP 400: unable to parse")
    assert len(server.stored) == 4999
    assert server.requests <= 26


@given(st.sets(st.integers(0, 199), max_size=20), st.booleans())
def test_every_line_is_stored_or_named(bad: set[int], keeps_good: bool) -> None:
    server = PickyServer(bad={line(i) for i in bad}, keeps_good=keeps_good)
    result = sift(body(200), Rejected("HTTP 400"), server.write)
    assert result.stopped is None
    named = {text.encode() for text, _ in result.refused}
    assert named | server.stored == {line(i) for i in range(200)}
    assert named == server.bad


def test_too_large_is_split_until_it_fits() -> None:
    server = PickyServer(bad=set(), limit=300)
    result = sift(body(500), TooLarge("HTTP 413"), server.write)
    assert result.refused == []
    assert len(server.stored) == 500


def test_a_server_that_refuses_everything_is_set_up_wrongly() -> None:
    """A whole backlog must not drain into the dead letters because of a wrong setting there."""
    server = PickyServer(bad={line(i) for i in range(5000)})
    result = sift(body(5000), Rejected("HTTP 400"), server.write)
    assert isinstance(result.stopped, Held)


def test_sifting_has_a_budget_and_loses_nothing_by_it() -> None:
    bad = {line(i) for i in range(0, 5000, 2)}
    server = PickyServer(bad=bad)
    result = sift(body(5000), Rejected("HTTP 400"), server.write)
    if result.stopped is None:
        named = {text.encode() for text, _ in result.refused}
        assert named | server.stored == {line(i) for i in range(5000)}
    assert server.requests <= MAX_REQUESTS + 2


def test_what_is_older_than_the_bucket_keeps_is_not_halved() -> None:
    server = PickyServer(bad=set())
    reason = "HTTP 422: partial write: points beyond retention policy dropped=3"
    result = sift(body(100), Rejected(reason), server.write)
    assert server.requests == 0
    assert len(result.refused) == 100


def test_a_server_that_goes_away_stops_the_sifting() -> None:
    result = sift(body(100), Rejected("HTTP 400"), lambda data, lines: Unreachable("refused"))
    assert result.stopped == Unreachable("refused")
    assert result.refused == []
