"""Peak load reduction against a calibrated counterfactual, with a placebo band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_WEEKS = 8
"""Fewer complete baseline weeks than this calibrate nothing."""


@dataclass(frozen=True, slots=True)
class PeakCalibration:
    """kappa: median over baseline weeks of max(y) / max(yhat). low, high: 5th and 95th percentile of what the
    same ratio, divided by kappa, did while nothing had changed. weeks: how many were complete."""

    kappa: float
    low: float
    high: float
    weeks: int


@dataclass(frozen=True, slots=True)
class PeakReduction:
    """Fractions. value = 1 - max(y) / (kappa max(yhat)); lower, upper: its 90 % placebo band."""

    value: float
    lower: float
    upper: float
    peak: float
    counterfactual: float


def calibrate(weekly_peak: Floats, weekly_predicted: Floats, complete: Bools) -> PeakCalibration | None:
    """Calibrate on baseline weeks, shape (weeks,); None with fewer than 8 complete ones.

    A mean model never reaches the peaks of its own baseline: without kappa the absence of any change would
    read as a negative reduction.
    """
    use = complete & (weekly_predicted > 0) & ~np.isnan(weekly_peak)
    if int(use.sum()) < MIN_WEEKS:
        return None
    ratio = weekly_peak[use] / weekly_predicted[use]
    kappa = float(np.median(ratio))
    if kappa <= 0:
        return None
    low, high = np.quantile(ratio / kappa, [0.05, 0.95])
    return PeakCalibration(kappa, float(low), float(high), int(use.sum()))


def peak_reduction(peak: float, predicted: float, calibration: PeakCalibration) -> PeakReduction | None:
    """The reduction of one week's peak; None without a positive counterfactual.

    The band divides by the placebo quantiles: had nothing changed, 90 % of weeks would fall around 0.
    """
    counterfactual = calibration.kappa * predicted
    if not counterfactual > 0 or np.isnan(peak):
        return None
    ratio = peak / counterfactual
    return PeakReduction(
        1.0 - ratio, 1.0 - ratio / calibration.low, 1.0 - ratio / calibration.high, peak, counterfactual
    )


def weekly_maximum(value: Floats, week: NDArray[np.int64], weeks: int) -> Floats:
    """Maximum per week [unit of value], shape (weeks,); NaN where nothing is known. week < 0: unused."""
    out = np.full(weeks, -np.inf)
    use = ~np.isnan(value) & (week >= 0) & (week < weeks)
    np.maximum.at(out, week[use], value[use])
    return np.where(np.isinf(out), np.nan, out)
