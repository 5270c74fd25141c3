"""Completeness: how much of what was expected is there. Kept apart from accuracy and timeliness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.flags import IntervalFlag


@dataclass(frozen=True, slots=True)
class Completeness:
    """valid: intervals' worth of data present (fractional), expected: intervals. share: 0-100 %.

    estimated: share of the present intervals that carry an estimate, 0-100 %."""

    valid: float
    expected: int
    share: float
    estimated: float


def completeness(covered: NDArray[np.float64], flags: NDArray[np.uint16], expected: int) -> Completeness:
    """From intervals' own completeness [%] and flags; intervals that are absent count as missing."""
    valid = float(np.nansum(covered)) / 100.0
    share = 100.0 * min(1.0, valid / expected) if expected > 0 else 0.0
    estimated = int(np.count_nonzero(flags & np.uint16(int(IntervalFlag.ESTIMATED))))
    return Completeness(valid, expected, share, 100.0 * estimated / len(flags) if len(flags) else 0.0)
