"""The newest value of each point, for who asks; kept as columns over the plan's rows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.base import Batch, Fault

_RAW_BYTES = 400


@dataclass(frozen=True, slots=True)
class Seen:
    """A point's newest value, and why it is bad if it is."""

    time: int
    value: float
    quality: int
    fault: Fault | None


class Latest:
    """size: points in the plan. `at` is monotonic seconds; -inf where nothing came yet."""

    def __init__(self, size: int = 0) -> None:
        self._at = np.full(size, -np.inf)
        self._time = np.zeros(size, np.int64)
        self._value = np.full(size, np.nan)
        self._quality = np.zeros(size, np.uint8)
        self._faults: dict[int, Fault] = {}
        self._raw: dict[str, bytes] = {}
        self._changed = asyncio.Event()

    def note(self, rows: NDArray[np.intp], batch: Batch, faults: dict[int, Fault], at: float) -> None:
        """Rows of the plan and what came for them; of several for one point the last stays."""
        self._at[rows] = at
        self._time[rows] = batch.time
        self._value[rows] = batch.value
        self._quality[rows] = batch.quality
        self._faults.update(faults)
        self._changed.set()

    def note_payload(self, topic: str, payload: bytes) -> None:
        """Remember the beginning of the newest payload under a topic filter of the plan."""
        self._raw[topic] = payload[:_RAW_BYTES]

    def has(self, rows: list[int], since: float) -> bool:
        """True when each of these rows has something not older than `since`."""
        return bool((self._at[rows] >= since).all())

    def get(self, row: int, series: int, since: float) -> Seen | None:
        if self._at[row] < since:
            return None
        quality = int(self._quality[row])
        fault = self._faults.get(series) if np.isnan(self._value[row]) else None
        return Seen(int(self._time[row]), float(self._value[row]), quality, fault)

    def raw(self, topic: str) -> str:
        """The newest payload under the filter, as text where it is text and else in hex."""
        payload = self._raw.get(topic, b"")
        try:
            return payload.decode()
        except UnicodeDecodeError:
            return payload.hex(" ")

    async def changed(self) -> None:
        """Wait for the next news."""
        self._changed.clear()
        await self._changed.wait()
