"""Ingest: from device units to canonical units, flags, one commit, then everybody who wants the news.

Deliveries of a short moment are joined and converted in one go, so that the cost does not grow with the
number of polls. Raw is never changed: a value is converted and, where it cannot be true, flagged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.base import FIRST_BAD, Batch, Quality
from gateway.site import PointSpec

log = logging.getLogger(__name__)

HELD_IN_MEMORY = 0


class Journal(Protocol):
    """The store, as ingest needs it: append returns the commit's seq when the batch is on disk.

    HELD_IN_MEMORY when the disk does not take it: kept and sent from memory, but not promised.
    """

    async def append(self, batch: Batch) -> int: ...


class ConversionTable:
    """Per-series factor, offset and nameplate limits as vectors indexed by series id."""

    def __init__(self, points: Mapping[int, PointSpec]) -> None:
        size = max(points, default=0) + 1
        self._factor = np.ones(size)
        self._offset = np.zeros(size)
        self._low = np.full(size, -np.inf)
        self._high = np.full(size, np.inf)
        self._known = np.zeros(size, bool)
        for series, point in points.items():
            self._known[series] = True
            self._factor[series] = point.factor
            self._offset[series] = point.offset
            self._low[series] = -np.inf if point.low is None else point.low
            self._high[series] = np.inf if point.high is None else point.high

    def convert(self, batch: Batch) -> Batch:
        """Canonical values and flags; bad samples lose their value, unknown series are left out.

        A series is unknown only in the moment of a reload that removed its point.
        """
        known = (batch.series < len(self._known)) & self._known[
            np.minimum(batch.series, len(self._known) - 1)
        ]
        series = batch.series[known]
        value = batch.value[known] * self._factor[series] + self._offset[series]
        quality = batch.quality[known].copy()
        usable = quality < FIRST_BAD
        finite = np.isfinite(value)
        quality[usable & ~finite] = Quality.BAD_VALUE
        outside = (value < self._low[series]) | (value > self._high[series])
        quality[usable & finite & outside] = Quality.OUT_OF_RANGE
        value[quality >= FIRST_BAD] = np.nan
        return Batch(series, batch.time[known], value, quality)


class Ingest:
    """Collects deliveries, commits them together, then tells the listeners.

    backlog_limit: samples that may wait for the disk before `accept` makes its caller wait. So a slow disk
    slows the field down instead of filling the memory.
    """

    def __init__(
        self,
        journal: Journal,
        committed: Sequence[Callable[[Batch], None]],
        *,
        every_s: float = 0.1,
        backlog_limit: int = 200_000,
    ) -> None:
        self._journal = journal
        self._listeners = tuple(committed)
        self._every_s = every_s
        self._limit = backlog_limit
        self._table = ConversionTable({})
        self._clock_suspect = False
        self._waiting: list[Batch] = []
        self._callbacks: list[Callable[[], None]] = []
        self._held: list[Callable[[], None]] = []
        self._pending = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._committing = asyncio.Lock()
        self.samples_in = 0

    def use(self, points: Mapping[int, PointSpec]) -> None:
        """Convert by these points from the next commit on."""
        self._table = ConversionTable(points)

    def suspect_clock(self, suspect: bool) -> None:
        """While True, good samples are flagged clock_suspect."""
        self._clock_suspect = suspect

    async def accept(self, batch: Batch, committed: Callable[[], None] | None = None) -> None:
        """Take a batch in device units; returns at once unless too much waits for the disk."""
        await self._room.wait()
        if self._clock_suspect:
            batch = _flag_clock(batch)
        if len(batch):
            self._waiting.append(batch)
            self._pending += len(batch)
            self.samples_in += len(batch)
        if committed is not None:
            self._callbacks.append(committed)
        if self._pending > self._limit:
            self._room.clear()
        self._wake.set()

    async def run(self) -> None:
        """Commit what was accepted, for ever. Cancel to stop, then `flush` what is left."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._every_s)
            await self.flush()

    async def flush(self) -> None:
        """Commit what waits, now. If the store refuses, it waits again: nothing is dropped here.

        Whoever is cancelled in here leaves the commit to finish; the next flush waits for it, so that
        nothing is committed twice.
        """
        await asyncio.shield(self._commit_waiting())

    async def _commit_waiting(self) -> None:
        async with self._committing:
            self._wake.clear()
            batches, self._waiting = self._waiting, []
            callbacks, self._callbacks = self._callbacks, []
            try:
                on_disk = await self._commit(Batch.concat(batches)) if batches else True
            except Exception:
                self._waiting = batches + self._waiting
                self._callbacks = callbacks + self._callbacks
                self._wake.set()
                raise
            if on_disk:
                _tell_all(callbacks)
            else:
                self._held += callbacks  # a peer sends no more while it waits for these

    async def _commit(self, batch: Batch) -> bool:
        """Convert and append, then tell the listeners; whether it is on disk.

        The store takes nothing to disk before what it held in memory: then that may be acknowledged too.
        """
        converted = self._table.convert(batch)
        on_disk = await self._journal.append(converted) != HELD_IN_MEMORY
        self._pending -= len(batch)
        if self._pending <= self._limit:
            self._room.set()
        _tell_all(partial(listener, converted) for listener in self._listeners)
        if on_disk and len(converted):
            held, self._held = self._held, []
            _tell_all(held)
        return on_disk


def _tell_all(calls: Iterable[Callable[[], None]]) -> None:
    """What is committed is committed: who cannot bear the news neither undoes it nor keeps it from others."""
    for call in calls:
        try:
            call()
        except Exception:
            log.exception("a listener failed at a commit")


def _flag_clock(batch: Batch) -> Batch:
    quality: NDArray[np.uint8] = np.where(
        batch.quality == Quality.GOOD, np.uint8(Quality.CLOCK_SUSPECT), batch.quality
    ).astype(np.uint8)
    return Batch(batch.series, batch.time, batch.value, quality)
