"""Late samples are noted once and handed over in one request."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.base import Batch
from gateway.clock import SECOND_NS, SteppedClock
from gateway.latecomers import Latecomers, Span, closed_until

QUARTER = 900 * SECOND_NS
NOW = 2_000_000 * QUARTER + 100 * SECOND_NS


class Asked:
    """A worker that notes what it is asked for."""

    def __init__(self) -> None:
        self.requests: list[list[Span]] = []
        self.clock = SteppedClock(NOW)
        self.late = Latecomers(self.clock, lambda now: closed_until(now, 30.0, 900), self.take, every_s=30.0)

    def take(self, spans: Iterable[Span]) -> None:
        self.requests.append(sorted(spans))


def test_an_interval_is_closed_only_after_it_settled() -> None:
    edge = 2_000_000 * QUARTER
    assert closed_until(edge + 29 * SECOND_NS, 30.0, 900) == edge - QUARTER
    assert closed_until(edge + 30 * SECOND_NS, 30.0, 900) == edge


def test_samples_of_now_are_not_late() -> None:
    asked = Asked()
    asked.late.committed(Batch.of([1, 2], NOW, [1.0, 2.0]))
    asked.late.hand_over()
    assert asked.requests == []


def test_late_samples_are_asked_for_by_series_with_the_span_they_touch() -> None:
    asked = Asked()
    hour = 3600 * SECOND_NS
    asked.late.committed(Batch.of([1, 2, 1], [NOW - hour, NOW, NOW - 2 * hour], [1.0, 2.0, 3.0]))
    asked.late.committed(Batch.of([3], [NOW - hour], [1.0]))
    asked.late.hand_over()
    assert asked.requests == [[(1, NOW - 2 * hour, NOW - hour + 1), (3, NOW - hour, NOW - hour + 1)]]
    asked.late.hand_over()
    assert len(asked.requests) == 1


async def test_a_clock_that_is_behind_costs_one_request_in_half_a_minute() -> None:
    asked = Asked()
    for second in range(90):
        asked.late.committed(Batch.of([1], [NOW - 3600 * SECOND_NS + second * SECOND_NS], [1.0]))
        asked.late.hand_over()
        await asked.clock.advance(1.0)
    assert len(asked.requests) == 3
