"""How well a prediction fits: CV(RMSE), NMBE, WAPE, MAPE. o: observed, p: predicted, same shape, no NaN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cv_rmse(o: Floats, p: Floats, subtract: float = 0.0) -> float:
    """sqrt(sum((o - p)^2) / (n - subtract)) / mean(o), a fraction; NaN if either denominator is not positive.

    subtract: parameters taken off n (n - p: ASHRAE Guideline 14; n - c without the intercept: CalTRACK
    4.3.2.2; 0: opendsm). Store which one.
    """
    free, mean = len(o) - subtract, float(np.mean(o)) if len(o) else 0.0
    if free <= 0 or mean <= 0:
        return float("nan")
    return float(np.sqrt(np.sum((o - p) ** 2) / free) / mean)


def nmbe(o: Floats, p: Floats, subtract: float = 0.0) -> float:
    """sum(o - p) / ((n - subtract) * mean(o)), a fraction; NaN if either denominator is not positive."""
    free, mean = len(o) - subtract, float(np.mean(o)) if len(o) else 0.0
    if free <= 0 or mean <= 0:
        return float("nan")
    return float(np.sum(o - p) / (free * mean))


def wape(o: Floats, p: Floats) -> float:
    """sum|o - p| / sum|o|, a fraction; NaN when nothing was observed."""
    total = float(np.sum(np.abs(o)))
    return float(np.sum(np.abs(o - p)) / total) if total > 0 else float("nan")


def mape(o: Floats, p: Floats) -> float:
    """mean(|o - p| / |o|), a fraction; NaN when any observation is 0."""
    if len(o) == 0 or bool((o == 0).any()):
        return float("nan")
    return float(np.mean(np.abs((o - p) / o)))


def lag1_autocorrelation(residuals: Floats) -> float:
    """Correlation of each residual with the one before it; 0 when it cannot be formed.

    NaN residuals (missing days) break the chain: only true neighbours count.
    """
    a, b = residuals[:-1], residuals[1:]
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if len(a) < 3:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b) / scale) if scale > 0 else 0.0


def long_run_autocorrelation(residuals: Floats, run: int) -> float:
    """The rho of the first-order process whose sums over `run` values vary as these do, 0-0.999.

    A model that misses a season a little every day has almost no lag-1 autocorrelation and yet sums that go
    astray. From the variance of sums over every run of neighbours: n'/n = run * mean(r^2) / mean(sums^2), and
    rho = (1 - n'/n) / (1 + n'/n). The mean is not taken off: a bias is part of what is missed. NaN residuals
    break the runs; 0 when fewer than three lengths of runs are whole.
    """
    known = ~np.isnan(residuals)
    whole = np.convolve(known, np.ones(run), "valid") > run - 0.5 if len(residuals) >= run else known[:0]
    if int(whole.sum()) < 2 * run:
        return 0.0
    sums = np.convolve(np.where(known, residuals, 0.0), np.ones(run), "valid")[whole]
    spread, white = float(np.mean(sums**2)), run * float(np.mean(residuals[known] ** 2))
    if spread <= white or white <= 0:
        return 0.0
    share = white / spread
    return min((1.0 - share) / (1.0 + share), 0.999)
