"""Electrical demand: block and rolling means, peaks, load factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.kernel import kernel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest demand of a span. value [kW]; index of its window; lower_bound: a missing interval beside
    it or a window that could not be formed may hide a higher one."""

    value: float
    index: int
    lower_bound: bool


def block_demand(power_kw: Floats, per_block: int) -> Floats:
    """Means over clock-aligned blocks of `per_block` intervals [kW], shape (n // per_block,).

    power_kw: mean power per interval, shape (n,), its first interval on a block edge; NaN where missing. A
    block with a missing interval is NaN: a peak is never made from a guess.
    """
    n = len(power_kw) // per_block * per_block
    return np.asarray(power_kw[:n].reshape(-1, per_block).mean(axis=1), np.float64)


@kernel
def rolling_demand(power_kw: Floats, window: int) -> Floats:
    """Means over a sliding window of `window` intervals [kW], one value per interval end, shape (n,).

    The first window - 1 values, and every window with a missing interval, are NaN. The running sum restarts
    after each gap, so that rounding does not build up.
    Source: utility demand metering, sliding-window method.
    """
    n = len(power_kw)
    out = np.full(n, np.nan)
    run, total = 0, 0.0
    for i in range(n):
        if np.isnan(power_kw[i]):
            run, total = 0, 0.0
            continue
        run += 1
        total += power_kw[i]
        if run > window:
            total -= power_kw[i - window]
        if run >= window:
            out[i] = total / window
    return out


def peak(demand_kw: Floats) -> Peak | None:
    """The highest demand and where, None when nothing is known.

    It is a lower bound when the window before or after it is missing.
    """
    if len(demand_kw) == 0 or bool(np.isnan(demand_kw).all()):
        return None
    at = int(np.nanargmax(demand_kw))
    beside = demand_kw[max(0, at - 1) : at + 2]
    return Peak(float(demand_kw[at]), at, bool(np.isnan(beside).any()))


def load_factor(power_kw: Floats) -> float:
    """Mean over maximum of the known intervals, 0-1; NaN without a positive maximum."""
    known = power_kw[~np.isnan(power_kw)]
    if len(known) == 0 or known.max() <= 0.0:
        return float("nan")
    return float(known.mean() / known.max())
