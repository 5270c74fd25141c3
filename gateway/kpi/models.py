"""The baseline models of a site, each fitted once per refresh and only when something asks for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analytics import framework
from analytics.baseline.daily import DailyModel, fit_daily
from analytics.baseline.towt import SeasonalTowt, fit_seasonal, predict_held_out
from analytics.calendar import Cadence, edges
from analytics.metrics import cv_rmse, lag1_autocorrelation, long_run_autocorrelation, nmbe
from analytics.peak import PeakCalibration, calibrate, weekly_maximum
from analytics.uncertainty import half_width
from analytics.water import WaterModel, fit_water
from gateway.kpi.figures import Settings
from gateway.kpi.history import GAS, IMPORT, OCCUPANCY, TEMPERATURE, WATER, History

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_MISSING_DAYS = 37
BASELINE_DAYS = 365
"""At most 37 of 365 days may miss (CalTRACK 2.2.1.2), so 328 must be valid."""
WEEK_COMPLETE = 0.95
RUN_DAYS = 30
"""How far residuals must be known to drift together: the longest period a band is published for."""


@dataclass(frozen=True, slots=True)
class HourlyFit:
    """A seasonal TOWT model with how its baseline residuals behave. predicted: every hour of the history.

    The band rests on residuals of hours the model had not seen (every other week predicted without itself),
    summed to days, with p = p_hourly / 24. rho_days: their autocorrelation, by lag 1 or over a month,
    whichever is greater.
    """

    model: SeasonalTowt
    predicted: Floats
    cv: float
    nmbe: float
    n_days: int
    sse_days: float
    mean_day: float
    rho_days: float
    parameters: float
    t_low: float
    t_high: float

    def half_width(self, predicted: float, days: int) -> float | None:
        """Half the 90 % band of a sum predicted over that many days."""
        return half_width(
            predicted,
            self.mean_day,
            self.sse_days,
            self.n_days,
            self.parameters,
            self.rho_days,
            days,
            days / 30.4375,
        )

    def evidence(self, fsu: float | None) -> str:
        return framework.evidence(self.cv, self.nmbe, fsu, hourly=True)


Fits = dict[int, tuple[SeasonalTowt, Floats]]
"""Hourly models and what they predict of unseen hours, by a digest of all they were fitted on."""
FITS_KEPT = 8


class Models:
    """Baseline models over [settings.baseline_start, settings.baseline_end).

    fits: kept by the caller from one refresh to the next, because a baseline hardly ever changes.
    """

    def __init__(self, history: History, settings: Settings, fits: Fits | None = None) -> None:
        self._history = history
        self._settings = settings
        self._fits: Fits = {} if fits is None else fits

    @cached_property
    def obstacle(self) -> str:
        """Why nothing can be compared with a baseline, in plain words; '' when it can."""
        settings = self._settings
        if settings.baseline_start is None or settings.baseline_end is None:
            return "no baseline period in the configuration"
        if settings.retrofit is None:
            return "no retrofit date in the configuration"
        if not self._history.has(TEMPERATURE):
            return "no role outdoor.temperature"
        rows = self._baseline_days
        valid = int(np.count_nonzero(~np.isnan(self._history.daily_mean(TEMPERATURE)[rows])))
        if valid < BASELINE_DAYS - MAX_MISSING_DAYS:
            return "fewer than 328 valid days in the baseline"
        return ""

    @cached_property
    def electricity_daily(self) -> DailyModel | None:
        return self._daily(self._history.consumption_day, cooling=True)

    @cached_property
    def gas_daily(self) -> DailyModel | None:
        return self._daily(self._history.by_day(GAS), cooling=False) if self._history.has(GAS) else None

    @cached_property
    def consumption_hourly(self) -> HourlyFit | None:
        return self._hourly(self._history.consumption_hour)

    @cached_property
    def import_hourly(self) -> HourlyFit | None:
        return self._hourly(self._history.by_hour(IMPORT)) if self._history.has(IMPORT) else None

    @cached_property
    def peak(self) -> PeakCalibration | None:
        """Calibration of weekly import peaks [kW, quarter-hours] on predicted peaks [kW, hours]."""
        fit = self.import_hourly
        start, end = self._settings.baseline_start, self._settings.baseline_end
        if fit is None or start is None or end is None:
            return None
        history = self._history
        weeks = edges(history.zone, Cadence.WEEKLY, start, end)
        weeks = weeks[(weeks >= start) & (weeks <= end)]
        count = len(weeks) - 1
        if count < 1:
            return None
        quarter_starts = history.roles[IMPORT].quarter.start
        week_of_quarter = _rows_of(weeks, quarter_starts)
        power = history.by_quarter(IMPORT) * 4.0
        known = ~np.isnan(power) & (week_of_quarter >= 0)
        seen = np.bincount(week_of_quarter[known], minlength=count)[:count]
        expected = np.diff(weeks) / (900 * 10**9)
        week_of_hour = _rows_of(weeks, history.hours[:-1])
        return calibrate(
            weekly_maximum(power, week_of_quarter, count),
            weekly_maximum(fit.predicted, week_of_hour, count),
            seen >= WEEK_COMPLETE * expected,
        )

    @cached_property
    def water(self) -> WaterModel | None:
        history, rows = self._history, self._baseline_days
        if not history.has(WATER) or rows is None:
            return None
        return fit_water(
            history.by_day(WATER)[rows],
            history.weekday[rows],
            history.daily_mean(OCCUPANCY)[rows],
        )

    @property
    def _baseline_days(self) -> slice:
        start, end = self._settings.baseline_start, self._settings.baseline_end
        return self._history.day_rows(start, end) if start is not None and end is not None else slice(0, 0)

    def _daily(self, use: Floats, cooling: bool) -> DailyModel | None:
        rows = self._baseline_days
        temperature = self._history.daily_mean(TEMPERATURE)[rows]
        valid = int(np.count_nonzero(~(np.isnan(use[rows]) | np.isnan(temperature))))
        if valid < BASELINE_DAYS - MAX_MISSING_DAYS:
            return None
        return fit_daily(use[rows], temperature, cooling=cooling)

    def _hourly(self, load: Floats) -> HourlyFit | None:
        start, end = self._settings.baseline_start, self._settings.baseline_end
        if start is None or end is None:
            return None
        history = self._history
        rows = history.hour_rows(start, end)
        temperature = history.hourly_mean(TEMPERATURE)
        model, unseen = self._fit(
            history.hour_of_week[rows],
            history.month[rows],
            history.day_of_month[rows] // 7 % 2,
            temperature[rows],
            load[rows],
        )
        if not any(model.months):
            return None
        predicted = model.predict(history.hour_of_week, temperature, history.month)
        return _hourly_fit(model, predicted, unseen, load, temperature, rows, history)

    def _fit(
        self, hour_of_week: Ints, month: Ints, week: Ints, temperature: Floats, load: Floats
    ) -> tuple[SeasonalTowt, Floats]:
        """The model of these hours and each of them as predicted without its week."""
        columns = (hour_of_week, month, week, temperature, load)
        digest = hash(tuple(column.tobytes() for column in columns))
        found = self._fits.get(digest)
        if found is None:
            model = fit_seasonal(hour_of_week, month, temperature, load)
            found = model, predict_held_out(hour_of_week, month, week, temperature, load, model)
            while len(self._fits) >= FITS_KEPT:
                del self._fits[next(iter(self._fits))]
            self._fits[digest] = found
        return found


def _hourly_fit(
    model: SeasonalTowt,
    predicted: Floats,
    unseen: Floats,
    load: Floats,
    temperature: Floats,
    rows: slice,
    history: History,
) -> HourlyFit | None:
    """unseen: the baseline's hours as predicted without themselves."""
    both = ~(np.isnan(load[rows]) | np.isnan(predicted[rows]) | np.isnan(unseen))
    y, yhat = load[rows][both], predicted[rows][both]
    if len(y) < 24 * 60:
        return None
    day = np.searchsorted(history.days, history.hours[rows], side="right") - 1
    day = day[: len(both)] - day[0]
    count = int(day.max()) + 1
    whole = np.bincount(day, both, count) >= np.maximum(np.bincount(day, minlength=count), 1)
    missed = np.where(whole, np.bincount(day[both], y - unseen[both], count), np.nan)
    n_days = int(whole.sum())
    return HourlyFit(
        model=model,
        predicted=predicted,
        cv=cv_rmse(y, yhat, model.parameters),
        nmbe=nmbe(y, yhat, model.parameters),
        n_days=n_days,
        sse_days=float(np.nansum(missed**2)),
        mean_day=float(np.bincount(day[both], y, count)[whole].mean()) if n_days else math.nan,
        rho_days=max(lag1_autocorrelation(missed), long_run_autocorrelation(missed, RUN_DAYS)),
        parameters=model.parameters / 24.0,
        t_low=float(np.nanmin(temperature[rows])),
        t_high=float(np.nanmax(temperature[rows])),
    )


def _rows_of(edge: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which interval of `edge` each start is in; -1 outside."""
    rows = np.searchsorted(edge, starts, side="right") - 1
    return np.where((rows >= 0) & (rows < len(edge) - 1), rows, -1)
