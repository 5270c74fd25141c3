"""Energy, savings, demand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analytics import framework
from analytics.baseline.daily import DailyModel
from analytics.demand import block_demand, load_factor, peak, rolling_demand
from analytics.peak import peak_reduction
from analytics.savings import Avoided, avoided_use
from analytics.uncertainty import half_width
from gateway.kpi.figures import Figure, Period, Settings, coverage, measured, undefined
from gateway.kpi.history import EXPORT, GAS, HEAT, IMPORT, PV, TEMPERATURE, History
from gateway.kpi.models import HourlyFit, Models

CARRIERS = (IMPORT, EXPORT, PV, GAS, HEAT)
ELECTRICITY = (IMPORT, EXPORT, PV)
SPAN_MARGIN = 0.10
"""Temperatures beyond the baseline's range by more of its span than this are flagged (CalTRACK 3.7.5.2)."""


@dataclass(frozen=True, slots=True)
class _Savings:
    """Avoided use by one model: half its 90 % band [kWh], the fit's quality, intervals too hot or cold."""

    model_id: str
    found: Avoided
    band: float | None
    cv: float
    nmbe: float
    hourly: bool
    outside: int
    details: dict[str, float | str]


class EnergyFigures:
    """Figures of one period each, from the history and the baseline models."""

    def __init__(self, history: History, settings: Settings, models: Models) -> None:
        self._history = history
        self._settings = settings
        self._models = models

    def use(self, period: Period) -> Figure:
        """Electricity used in the building plus fuels and heat [kWh]."""
        history = self._history
        if not history.has(IMPORT):
            return undefined("no role site.electricity.import")
        rows = history.quarters(period.start, period.known_end)
        base = coverage(history, CARRIERS, period)
        parts = {
            "electricity": float(np.nansum(history.consumption_quarter[rows])),
            "gas": float(np.nansum(history.by_quarter(GAS)[rows])),
            "heat": float(np.nansum(history.by_quarter(HEAT)[rows])),
        }
        if base.n_valid == 0:
            return replace(base, reason="no data in the period")
        used = {name: value for name, value in parts.items() if value}
        return replace(base, value=sum(parts.values()), evidence=measured(base.completeness), details=used)

    def intensity(self, period: Period) -> Figure:
        """Energy used for each m2 of the site's area."""
        area = self._settings.area_m2
        if not area:
            return undefined("no floor area in the configuration (site.area_m2)")
        use = self.use(period)
        if use.value is None:
            return use
        return replace(use, value=use.value / area, details={"energy_kwh": use.value, "area_m2": area})

    def savings(self, period: Period) -> Figure | None:
        """Avoided electricity, percent of what the baseline model predicts.

        What is modelled is consumption = import - export + PV generation: the building's own load. Import
        alone would credit a sunny month, or new panels, to the works.

        The daily CalTRACK model is used where it fits (CV(RMSE) <= 30 %, Guideline 14); where a working week
        makes it unfit, the hourly time-of-week-and-temperature model. The choice rests on the baseline alone,
        never on the result, and the other model's figure stands in the details.
        """
        models = self._models
        if models.obstacle:
            return undefined(models.obstacle, ELECTRICITY)
        daily, hourly = models.electricity_daily, models.consumption_hourly
        if daily is None or not self._history.has(IMPORT):
            return undefined("no electricity in the baseline period", ELECTRICITY)
        start = max(period.start, self._settings.retrofit or period.start)
        if start >= period.end:
            return None
        by_day = self._by_day(daily, start, period)
        by_hour = self._by_hour(hourly, start, period) if hourly is not None else None
        if by_hour is not None and daily.cv_rmse > framework.GL14_HOURLY_CV:
            return self._savings_figure(period, by_hour, by_day)
        return self._savings_figure(period, by_day, by_hour)

    def by_model(self, period: Period) -> dict[str, Figure]:
        """The same saving as published and by each model alone: what a study of the bands compares."""
        daily, hourly = self._models.electricity_daily, self._models.consumption_hourly
        published = self.savings(period)
        found = {"published": published} if published is not None else {}
        if published is not None and daily is not None:
            found["daily"] = self._savings_figure(period, self._by_day(daily, period.start, period), None)
        if published is not None and hourly is not None:
            found["towt"] = self._savings_figure(period, self._by_hour(hourly, period.start, period), None)
        return found

    def _by_day(self, model: DailyModel, start: int, period: Period) -> _Savings:
        rows = self._history.day_rows(start, period.known_end)
        temperature = self._history.daily_mean(TEMPERATURE)[rows]
        found = avoided_use(self._history.consumption_day[rows], model.predict(temperature))
        band = half_width(
            found.predicted,
            model.mean,
            model.sse,
            model.n,
            model.parameters,
            model.rho,
            found.valid,
            found.valid / 30.4375,
        )
        details: dict[str, float | str] = {
            "mu": model.mu,
            "beta_h": model.beta_h,
            "beta_c": model.beta_c,
            "balance_h": model.balance_h,
            "balance_c": model.balance_c,
            "r2_adjusted": model.r2_adjusted,
            "cv_rmse": model.cv_rmse,
            "cv_rmse_subtracts": "n - p",
            "rho": model.rho,
        }
        outside = _outside(temperature, model.t_low, model.t_high)
        return _Savings(model.model_id, found, band, model.cv_rmse, 0.0, False, outside, details)

    def _by_hour(self, fit: HourlyFit, start: int, period: Period) -> _Savings:
        rows = self._history.hour_rows(start, period.known_end)
        found = avoided_use(self._history.consumption_hour[rows], fit.predicted[rows])
        band = fit.half_width(found.predicted, max(1, found.valid // 24))
        details: dict[str, float | str] = {
            "cv_rmse": fit.cv,
            "cv_rmse_subtracts": "n - p",
            "nmbe": fit.nmbe,
            "parameters": float(fit.model.parameters),
            "rho_days": fit.rho_days,
        }
        outside = _outside(self._history.hourly_mean(TEMPERATURE)[rows], fit.t_low, fit.t_high)
        return _Savings("towt-seasonal", found, band, fit.cv, fit.nmbe, True, outside, details)

    def _savings_figure(self, period: Period, chosen: _Savings, other: _Savings | None) -> Figure:
        found, band = chosen.found, chosen.band
        history = self._history
        base = coverage(history, (*(n for n in ELECTRICITY if history.has(n)), TEMPERATURE), period)
        base = replace(base, inputs=(*base.inputs, f"baseline {self._settings.baseline_label}"))
        if found.valid == 0 or not np.isfinite(found.fraction):
            return replace(base, reason="no complete day yet", model_id=chosen.model_id)
        fsu = band / abs(found.avoided) if band is not None and found.avoided else None
        evidence = framework.evidence(chosen.cv, chosen.nmbe, fsu, chosen.hourly)
        percent, scale = 100.0 * found.fraction, 100.0 / found.predicted
        details: dict[str, float | str] = {
            "avoided_kwh": found.avoided,
            "predicted_kwh": found.predicted,
            "observed_kwh": found.observed,
            "intervals": float(found.valid),
            "intervals_outside_baseline_temperature": float(chosen.outside),
            **chosen.details,
        }
        if other is not None:
            details["cross_check_model"] = other.model_id
            details["cross_check_percent"] = 100.0 * other.found.fraction
            details["cross_check_cv_rmse"] = other.cv
        return replace(
            base,
            value=percent,
            lower=percent - band * scale if band is not None else None,
            upper=percent + band * scale if band is not None else None,
            baseline=found.predicted,
            evidence="indicative" if chosen.outside and evidence == "verified" else evidence,
            model_id=chosen.model_id,
            details=details,
        )

    def peak_demand(self, period: Period) -> Figure:
        """Highest quarter-hour of import [kW], with wider blocks and the rolling half-hour in the details."""
        history = self._history
        if not history.has(IMPORT):
            return undefined("no role site.electricity.import")
        power = history.by_quarter(IMPORT)[history.quarters(period.start, period.known_end)] * 4.0
        base = coverage(history, (IMPORT,), period)
        found = peak(power)
        if found is None:
            return replace(base, reason="no data in the period")
        details: dict[str, float | str] = {
            "at_ns": str(period.start + found.index * 900 * 10**9),
            "lower_bound": "yes" if found.lower_bound else "no",
        }
        # By the minute where minutes were measured, which may find a higher window than quarter-hours can.
        minutes = history.import_minutes(period.start, period.known_end)
        for name, demand in (
            ("block_30min_kw", block_demand(power, 2)),
            ("block_60min_kw", block_demand(power, 4)),
            ("rolling_30min_kw", np.concatenate([rolling_demand(power, 2), rolling_demand(minutes, 30)])),
        ):
            wider = peak(demand)
            if wider is not None:
                details[name] = wider.value
        details["minutes_share_percent"] = (
            100.0 * np.count_nonzero(~np.isnan(minutes)) / len(minutes) if len(minutes) else 0.0
        )
        return replace(base, value=found.value, evidence=measured(base.completeness), details=details)

    def load_factor(self, period: Period) -> Figure:
        """Mean over highest quarter-hour of import, percent."""
        history = self._history
        if not history.has(IMPORT):
            return undefined("no role site.electricity.import")
        power = history.by_quarter(IMPORT)[history.quarters(period.start, period.known_end)] * 4.0
        base = coverage(history, (IMPORT,), period)
        factor = load_factor(power)
        if not np.isfinite(factor):
            return replace(base, reason="no positive demand in the period")
        return replace(base, value=100.0 * factor, evidence=measured(base.completeness))

    def peak_reduction(self, period: Period) -> Figure | None:
        """The week's peak against the calibrated counterfactual, percent, with its placebo band."""
        history, models = self._history, self._models
        inputs = (IMPORT, TEMPERATURE)
        if models.obstacle or not history.has(IMPORT):
            return undefined(models.obstacle or "no role site.electricity.import", inputs)
        if period.end <= (self._settings.retrofit or 0):
            return None
        fit, calibration = models.import_hourly, models.peak
        if fit is None or calibration is None:
            return undefined("too few complete weeks in the baseline", inputs)
        base = coverage(history, inputs, period)
        base = replace(base, inputs=(*base.inputs, f"baseline {self._settings.baseline_label}"))
        power = history.by_quarter(IMPORT)[history.quarters(period.start, period.known_end)] * 4.0
        expected = fit.predicted[history.hour_rows(period.start, period.known_end)]
        if np.isnan(power).all() or np.isnan(expected).all():
            return replace(base, reason="no data in the period")
        found = peak_reduction(float(np.nanmax(power)), float(np.nanmax(expected)), calibration)
        if found is None:
            return replace(base, reason="no positive counterfactual")
        return replace(
            base,
            value=100.0 * found.value,
            lower=100.0 * found.lower,
            upper=100.0 * found.upper,
            baseline=found.counterfactual,
            evidence=framework.evidence(fit.cv, fit.nmbe, None, hourly=True),
            model_id="towt-seasonal:import",
            details={
                "peak_kw": found.peak,
                "counterfactual_kw": found.counterfactual,
                "kappa": calibration.kappa,
                "placebo_low": calibration.low,
                "placebo_high": calibration.high,
                "placebo_weeks": float(calibration.weeks),
                "cv_rmse": fit.cv,
            },
        )


def _outside(temperature: np.ndarray[tuple[int, ...], np.dtype[np.float64]], low: float, high: float) -> int:
    margin = SPAN_MARGIN * (high - low)
    return int(np.count_nonzero((temperature < low - margin) | (temperature > high + margin)))
