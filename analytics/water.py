"""Water: a baseline by occupancy where people are counted, by time of week where they are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.metrics import lag1_autocorrelation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_DAYS = 60
"""Fewer baseline days than this make no baseline."""


@dataclass(frozen=True, slots=True)
class WaterModel:
    """W = a + b * occupancy [m3/day] (kind 'occupancy'), or the mean of each weekday (kind 'weekday').

    a [m3/day], b [m3/day per person], weekday: shape (7,) [m3/day], NaN where not seen. sse, mean, n,
    parameters, rho: of the baseline's days.
    """

    kind: str
    a: float
    b: float
    weekday: Floats
    n: int
    parameters: int
    sse: float
    mean: float
    rho: float

    def predict(self, weekday: Ints, occupancy: Floats) -> Floats:
        """Use per day [m3]; weekday 0 = Monday; NaN where the day's occupancy is needed and missing."""
        if self.kind == "occupancy":
            return np.asarray(self.a + self.b * occupancy, np.float64)
        return np.asarray(self.weekday[weekday], np.float64)

    @property
    def model_id(self) -> str:
        return f"water:{self.kind}"


def fit_water(use: Floats, weekday: Ints, occupancy: Floats) -> WaterModel | None:
    """Fit daily use [m3], shape (n,); the occupancy model where it has data and explains more, else weekdays.

    occupancy: mean people present in each day, NaN where unknown. None with fewer than 60 valid days.
    """
    by_people = _fit_occupancy(use, occupancy)
    by_weekday = _fit_weekday(use, weekday)
    if by_people is None or by_weekday is None:
        return by_people or by_weekday
    # Equal footing: residual variance per degree of freedom.
    people = by_people.sse / (by_people.n - by_people.parameters)
    weekdays = by_weekday.sse / (by_weekday.n - by_weekday.parameters)
    return by_people if people <= weekdays else by_weekday


def _fit_occupancy(use: Floats, occupancy: Floats) -> WaterModel | None:
    valid = ~(np.isnan(use) | np.isnan(occupancy))
    y, x = use[valid], occupancy[valid]
    if len(y) < MIN_DAYS or float(np.var(x)) <= 0:
        return None
    b = float(np.cov(x, y, bias=True)[0, 1] / np.var(x))
    a = float(y.mean() - b * x.mean())
    if b <= 0 or a < 0:
        return None
    nothing = np.full(7, np.nan)
    residuals = use - (a + b * occupancy)
    sse = float(np.nansum(residuals**2))
    rho = lag1_autocorrelation(residuals)
    return WaterModel("occupancy", a, b, nothing, len(y), 2, sse, float(y.mean()), rho)


def _fit_weekday(use: Floats, weekday: Ints) -> WaterModel | None:
    valid = ~np.isnan(use)
    y, days = use[valid], weekday[valid]
    if len(y) < MIN_DAYS:
        return None
    seen = np.bincount(days, minlength=7)
    means = np.where(seen > 0, np.bincount(days, y, 7) / np.maximum(seen, 1), np.nan)
    residuals = use - means[weekday]
    sse = float(np.nansum(residuals**2))
    rho = lag1_autocorrelation(residuals)
    return WaterModel("weekday", 0.0, 0.0, means, len(y), int((seen > 0).sum()), sse, float(y.mean()), rho)
