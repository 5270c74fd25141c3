"""Interval columns and their keys, as the store keeps them and the worker makes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESOLUTIONS: dict[str, int] = {"1m": 60, "15m": 900, "1h": 3600, "1d": 86400}
"""Resolution name -> nominal length [s]. A local day may have 23 or 25 hours; its start tells."""

INTERVAL_COLUMNS = ("mean", "min", "max", "delta", "count", "completeness")


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals of one series at one resolution, sorted by start.

    start: int64 UTC ns of each interval's start. mean, min, max: in the point's canonical unit, delta: the
    counter's advance in it, NaN where missing. count: samples used. completeness: 0-100 %. flags: uint16
    bit set of VEE rule ids (analytics/vee.py); 0 = nothing to say.
    """

    start: NDArray[np.int64]
    mean: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    delta: NDArray[np.float64]
    count: NDArray[np.float64]
    completeness: NDArray[np.float64]
    flags: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class IntervalBlock:
    """Intervals on their way into the store: which series, which resolution, the columns."""

    series: int
    resolution: str
    intervals: Intervals
