"""Samples that arrive after their quarter-hour was computed: what they touch is computed again.

A broker that was away delivers an hour of readings at once, with their own times. The samples are stored like
all others; this remembers, per series, the span they fell into, and hands the spans to the KPI worker in one
request now and then: a clock that stands an hour behind must not cost a computation a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from drivers.base import Batch
from gateway.clock import SECOND_NS, Clock

Span = tuple[int, int, int]
"""series, first time, end (exclusive) [UTC ns]."""


class Latecomers:
    """Listens to commits. closed_until: UTC ns up to which intervals are already computed."""

    def __init__(
        self,
        clock: Clock,
        closed_until: Callable[[int], int],
        request: Callable[[Iterable[Span]], None],
        every_s: float = 30.0,
    ) -> None:
        self._clock = clock
        self._closed_until = closed_until
        self._request = request
        self._every_s = every_s
        self._asked_at = float("-inf")
        self._spans: dict[int, tuple[int, int]] = {}

    def committed(self, batch: Batch) -> None:
        """Note what of a committed batch is late."""
        late = batch.time < self._closed_until(self._clock.now_ns())
        if not late.any():
            return
        series, time = batch.series[late], batch.time[late]
        for one in np.unique(series).tolist():
            times = time[series == one]
            first, last = self._spans.get(one, (int(times[0]), int(times[0])))
            self._spans[one] = (min(first, int(times.min())), max(last, int(times.max())))

    def hand_over(self) -> None:
        """Ask for what is noted, unless that was just done; to be called every second or so."""
        now = self._clock.monotonic()
        if self._spans and now - self._asked_at >= self._every_s:
            self._asked_at = now
            spans, self._spans = self._spans, {}
            self._request((series, first, last + 1) for series, (first, last) in spans.items())


def closed_until(now_ns: int, settle_s: float, interval_s: int) -> int:
    """The end of the newest interval that is computed: one settles for a while before it is."""
    interval = interval_s * SECOND_NS
    return (now_ns - round(settle_s * SECOND_NS)) // interval * interval
