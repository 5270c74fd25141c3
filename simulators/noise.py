"""Repeatable randomness: noise is a function of (seed, name, position), never of what was asked before.

Two processes, or one before and after a restart, therefore see the same building. Positions are counted in
quarter-hours from a fixed epoch; a `Window` is a run of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EPOCH_S = 1_577_836_800
"""2020-01-01T00:00Z: quarter-hour 0, where every register stood at nought."""
STEP_S = 900
STEP_NS = STEP_S * 1_000_000_000

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Window:
    """`count` quarter-hours from number `first`."""

    first: int
    count: int

    def index(self) -> NDArray[np.int64]:
        return np.arange(self.first, self.first + self.count, dtype=np.int64)

    def seconds(self) -> NDArray[np.int64]:
        """Start of each quarter-hour [s since 1970, UTC]."""
        return EPOCH_S + self.index() * STEP_S

    def earlier(self, steps: int) -> Window:
        """The window that begins `steps` sooner and ends where this one ends."""
        return Window(self.first - steps, self.count + steps)


def uniform(seed: int, name: str, position: NDArray[np.int64]) -> Array:
    """Independent values in [-1, 1), one per position.

    Source: splitmix64's output function over a counter (Steele, Lea & Flood, OOPSLA 2014).
    """
    stream = np.array([((seed << 32) ^ crc32(name.encode())) % 2**64], np.uint64)
    z = (position.astype(np.uint64) + stream * _GOLDEN) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * (2.0 / 2**53) - 1.0


def smooth(seed: int, name: str, window: Window, hours: float) -> Array:
    """Noise of unit standard deviation at its knots, `hours` apart, smoothly joined between them."""
    place = window.index() / (hours * 3600 / STEP_S)
    knot = np.floor(place).astype(np.int64)
    part = place - knot
    knots = np.arange(knot[0], knot[-1] + 2, dtype=np.int64)
    height = uniform(seed, name, knots) * np.sqrt(3.0)
    left = height[knot - knot[0]]
    right = height[knot - knot[0] + 1]
    joined: Array = left + (right - left) * part * part * (3.0 - 2.0 * part)
    return joined


def independent(seed: int, name: str, window: Window) -> Array:
    """Noise in [-1, 1) that is independent from one quarter-hour to the next."""
    return uniform(seed, name, window.index())
