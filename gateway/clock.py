"""Time, through one small protocol, so that tests can step it and the gateway can doubt it."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from typing import Protocol

SECOND_NS = 1_000_000_000


class Clock(Protocol):
    """now_ns: UTC nanoseconds, may step. monotonic: seconds that only rise; durations use it.

    wait() returns when `wake` is set or the time has come, whichever is first.
    """

    def now_ns(self) -> int: ...

    def monotonic(self) -> float: ...

    async def sleep_until(self, monotonic: float) -> None: ...

    async def wait(self, wake: asyncio.Event, until: float) -> None: ...


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep_until(self, monotonic: float) -> None:
        await asyncio.sleep(max(0.0, monotonic - time.monotonic()))

    async def wait(self, wake: asyncio.Event, until: float) -> None:
        # A timer that sets the event is several times cheaper than asyncio.wait_for, and a busy gateway
        # does this thousands of times a second.
        timer = asyncio.get_running_loop().call_later(max(0.0, until - time.monotonic()), wake.set)
        try:
            await wake.wait()
        finally:
            timer.cancel()


class SteppedClock:
    """A clock that stands still until `advance` moves it; sleepers wake in the order of their times."""

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._order = count()

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep_until(self, monotonic: float) -> None:
        if monotonic <= self._monotonic:
            await asyncio.sleep(0)
            return
        await self.wait(asyncio.Event(), monotonic)

    async def wait(self, wake: asyncio.Event, until: float) -> None:
        if until <= self._monotonic:
            wake.set()
        else:
            heapq.heappush(self._sleepers, (until, next(self._order), wake))
        await wake.wait()

    async def advance(self, seconds: float) -> None:
        """Move both clocks forward, waking each sleeper at its own time."""
        end = self._monotonic + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self._move_to(due)
            woken.set()
            await asyncio.sleep(0)
        self._move_to(end)
        await asyncio.sleep(0)

    def step_utc(self, seconds: float) -> None:
        """Step UTC alone, as NTP or an operator would; monotonic time does not move."""
        self._now_ns += round(seconds * SECOND_NS)

    def _move_to(self, monotonic: float) -> None:
        self._now_ns += round((monotonic - self._monotonic) * SECOND_NS)
        self._monotonic = monotonic
