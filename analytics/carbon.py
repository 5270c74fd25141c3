"""Emissions with a factor for each interval, and their reduction against the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Emissions:
    """kg: sum over intervals whose energy and factor are known. coverage: their share of the known energy's
    intervals, 0-1: a missing factor lowers it and is never taken as 0."""

    kg: float
    coverage: float


def emissions(energy_kwh: Floats, factor: Floats) -> Emissions:
    """sum(E * EF). energy_kwh [kWh], factor [kgCO2e/kWh], shape (n,), NaN where missing."""
    known = ~np.isnan(energy_kwh)
    both = known & ~np.isnan(factor)
    count = int(known.sum())
    return Emissions(
        float(np.sum(energy_kwh[both] * factor[both])), float(both.sum() / count) if count else 0.0
    )


def carbon_reduction(energy: Floats, baseline: Floats, factor: Floats) -> float:
    """1 - sum(E * EF) / sum(Ehat * EF), a fraction; the same factors on both sides.

    Only intervals where all three are known count; NaN when the baseline's emissions are not positive.
    """
    use = ~(np.isnan(energy) | np.isnan(baseline) | np.isnan(factor))
    reference = float(np.sum(baseline[use] * factor[use]))
    return 1.0 - float(np.sum(energy[use] * factor[use])) / reference if reference > 0 else float("nan")


def monthly_hourly_factor(table: Floats, month: NDArray[np.int64], hour: NDArray[np.int64]) -> Floats:
    """Look factors up in a (12, 24) table by local month (1-12) and hour (0-23): shape (n,)."""
    return np.asarray(table[month - 1, hour], np.float64)
