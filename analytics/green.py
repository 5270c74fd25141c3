"""Green energy: annual-style volumetric share, hourly matched share, carbon-free score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def volumetric_share(load: Floats, green: Floats) -> float:
    """min(sum G / sum L, 1), a fraction: surplus of one hour counts for another. NaN without load.

    load: consumption per interval [kWh]; green: renewable supply in it [kWh]; intervals missing on either
    side are left out.
    """
    use = ~(np.isnan(load) | np.isnan(green))
    total = float(load[use].sum())
    return min(float(green[use].sum()) / total, 1.0) if total > 0 else float("nan")


def matched_share(load: Floats, green: Floats) -> float:
    """sum min(L, G) / sum L, a fraction: what was used while it was made; excess never carries over."""
    return carbon_free_score(load, green, np.zeros_like(load))


def carbon_free_score(load: Floats, green: Floats, grid_share: Floats) -> float:
    """CFE = sum[min(L, G) + max(L - G, 0) g] / sum L, g the grid's carbon-free share (0-1)."""
    use = ~(np.isnan(load) | np.isnan(green) | np.isnan(grid_share))
    wanted, made, share = load[use], green[use], grid_share[use]
    total = float(wanted.sum())
    if total <= 0:
        return float("nan")
    free = np.minimum(wanted, made) + np.maximum(wanted - made, 0.0) * share
    return float(free.sum() / total)


def self_consumption(generation: Floats, export: Floats) -> Floats:
    """PV used on site per interval [kWh]: generation less export, never below 0."""
    return np.maximum(generation - export, 0.0)
