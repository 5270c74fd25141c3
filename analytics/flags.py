"""Flag bits of an interval: what was done to it, as published rule ids. No numba here.

A bit never changes its meaning. 0 = measured, complete, nothing to say.
"""

from __future__ import annotations

from enum import IntFlag


class IntervalFlag(IntFlag):
    """Bits of `Intervals.flags` (uint16)."""

    IMPORTED = 1 << 0
    """Came from a history import, not from samples of this gateway."""
    INCOMPLETE = 1 << 1
    """Less than 99.5 % of the interval is covered by good samples (or complete members)."""
    ESTIMATED = 1 << 2
    """Part of the value is interpolated across a gap or scaled up from what was seen."""
    ROLLOVER = 1 << 3
    """The counter passed its modulus inside the interval; the advance was unwrapped."""
    RESET = 1 << 4
    """The counter was reset or jumped implausibly: the interval has no advance and a new epoch begins."""
    UNCERTAIN = 1 << 5
    """A sample of uncertain quality (16-31) was used."""
