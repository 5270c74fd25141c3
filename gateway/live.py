"""The newest sample of every point, in memory: what the page, the API and the alarms look at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import numpy as np
from numpy.typing import NDArray

from drivers.base import FIRST_BAD, Batch, Quality

AHEAD_NS = 2_000_000_000
"""A shown time this far ahead of the clock shows that the clock was stepped."""


class LiveTable:
    """Arrays indexed by series id. Updated after the commit, so that nothing is shown that could be lost.

    now: UTC ns. A shown time that lies ahead of it is from before the clock was stepped back, and gives way.
    """

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self._utc_now = now
        self.value: NDArray[np.float64] = np.full(0, np.nan)
        self.quality: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.time: NDArray[np.int64] = np.zeros(0, np.int64)
        self.good_time: NDArray[np.int64] = np.zeros(0, np.int64)
        """Time of the newest sample that had a value, 0 when there was none."""
        self._revision: NDArray[np.int64] = np.zeros(0, np.int64)
        self._now = 0
        self._changed = asyncio.Event()

    def make_room(self, highest_series: int) -> None:
        """Room for ids up to this one; new series are not available and have no time."""
        missing = highest_series + 1 - len(self.value)
        if missing <= 0:
            return
        self.value = np.concatenate([self.value, np.full(missing, np.nan)])
        self.quality = np.concatenate([self.quality, np.full(missing, Quality.NOT_AVAILABLE, dtype=np.uint8)])
        for name in ("time", "good_time", "_revision"):
            setattr(self, name, np.concatenate([getattr(self, name), np.zeros(missing, np.int64)]))

    def update(self, batch: Batch) -> None:
        """Take a committed batch; a sample older than the one shown is history, not news."""
        shown = self.time[batch.series]
        newer = (batch.time >= shown) | (shown > self._utc_now() + AHEAD_NS)
        series = batch.series[newer]
        order = np.argsort(batch.time[newer], kind="stable")
        series = series[order]
        value, quality, at = (column[newer][order] for column in (batch.value, batch.quality, batch.time))
        self.value[series] = value
        self.quality[series] = quality
        self.time[series] = at
        good = quality < FIRST_BAD
        self.good_time[series[good]] = at[good]
        self._now += 1
        self._revision[series] = self._now
        self._changed.set()

    async def changes(self, pause_s: float = 1.0) -> AsyncIterator[NDArray[np.int32]]:
        """The ids that changed since the last turn, at most once every pause_s."""
        seen = self._now
        while True:
            await asyncio.sleep(pause_s)
            while self._now == seen:
                self._changed.clear()
                await self._changed.wait()
            changed = np.flatnonzero(self._revision > seen).astype(np.int32)
            seen = self._now
            yield changed
