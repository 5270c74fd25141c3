"""Long work beside the event loop: letting go of the interpreter often enough, and for long enough.

A thread that waits for CPython's interpreter lock (GIL) demands it only after 5 ms in which nobody let go of
it. Compressing a chunk and running a statement let go of it every few microseconds and have it back before
the waiting thread is awake, which begins its 5 ms anew: the loop was kept waiting for 350 ms at a time. A
real sleep now and then hands the lock over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
WORK_S = 0.001
REST_S = 0.0001
"""Longer than it takes a waiting thread to wake up; with the timer's slack about 150 microseconds."""


class Pace:
    """For one stretch of work on one thread."""

    def __init__(
        self, now: Callable[[], float] = time.perf_counter, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._rested = now()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items; between two of them a moment of sleep after each millisecond of work."""
        for item in items:
            if self._now() - self._rested > WORK_S:
                self._sleep(REST_S)
                self._rested = self._now()
            yield item
