"""Carbon, green energy, water."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analytics.carbon import emissions, monthly_hourly_factor
from analytics.green import matched_share, self_consumption, volumetric_share
from analytics.savings import avoided_use
from analytics.uncertainty import half_width
from gateway.kpi.catalogue import FactorTable, factor_table
from gateway.kpi.figures import Figure, Period, Settings, coverage, measured, undefined
from gateway.kpi.history import EXPORT, GAS, IMPORT, OCCUPANCY, PV, TEMPERATURE, WATER, History
from gateway.kpi.models import Models

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Side:
    """One carrier's emissions in a period: with the works, as predicted without [kg], and half its band."""

    actual: float
    predicted: float
    band: float | None
    valid: int


class EnvironmentFigures:
    """Figures of one period each, from the history and the baseline models."""

    def __init__(self, history: History, settings: Settings, models: Models) -> None:
        self._history = history
        self._settings = settings
        self._models = models
        self._tables = {
            carrier: table
            for carrier, name in settings.factors.items()
            if (table := factor_table(name)) is not None
        }

    def emissions(self, period: Period) -> Figure:
        """Scope 1 (gas) plus scope 2, location-based (import) [kgCO2e]; exports are never netted."""
        history, table = self._history, self._tables.get("electricity")
        if not history.has(IMPORT):
            return undefined("no role site.electricity.import")
        if table is None:
            return undefined(self._no_table("electricity"))
        base = coverage(history, (IMPORT, GAS), period)
        rows = history.hour_rows(period.start, period.known_end)
        scope2 = emissions(history.by_hour(IMPORT)[rows], self._factors(table)[rows])
        details: dict[str, float | str] = {
            "scope2_location_kg": scope2.kg,
            "factor_coverage": scope2.coverage,
        }
        labels = [table.label]
        total = scope2.kg
        if history.has(GAS):
            gas = self._tables.get("gas")
            if gas is None:
                return undefined(self._no_table("gas"))
            scope1 = emissions(history.by_hour(GAS)[rows], self._factors(gas)[rows])
            details["scope1_kg"] = scope1.kg
            labels.append(gas.label)
            total += scope1.kg
        if base.n_valid == 0:
            return replace(base, reason="no data in the period")
        return replace(
            base,
            value=total,
            evidence="indicative" if self._illustrative() else measured(base.completeness),
            inputs=(*base.inputs, *(f"factors {label}" for label in labels)),
            details=details,
        )

    def reduction(self, period: Period) -> Figure | None:
        """1 - actual / predicted emissions, the same factors on both sides, percent."""
        history, models, retrofit = self._history, self._models, self._settings.retrofit
        inputs = (IMPORT, GAS, TEMPERATURE)
        table = self._tables.get("electricity")
        if models.obstacle or not history.has(IMPORT):
            return undefined(models.obstacle or "no role site.electricity.import", inputs)
        if table is None:
            return undefined(self._no_table("electricity"), inputs)
        start = max(period.start, retrofit or 0)
        if start >= period.end:
            return None
        fit = models.import_hourly
        if fit is None:
            return undefined("no electricity in the baseline period", inputs)
        base = coverage(history, tuple(name for name in inputs if history.has(name)), period)
        sides = [self._electric_side(table, start, period)]
        labels = [table.label]
        gas_table = self._tables.get("gas")
        if history.has(GAS) and models.gas_daily is not None:
            if gas_table is None or gas_table.value is None:
                return undefined(self._no_table("gas"), inputs)
            sides.append(self._gas_side(gas_table.value, start, period))
            labels.append(gas_table.label)
        predicted = sum(side.predicted for side in sides)
        if predicted <= 0 or sides[0].valid == 0:
            return replace(base, reason="no complete day yet")
        percent = 100.0 * (1.0 - sum(side.actual for side in sides) / predicted)
        bands = [side.band for side in sides]
        known = [band for band in bands if band is not None]
        half = 100.0 * math.hypot(*known) / predicted if len(known) == len(bands) else None
        evidence = fit.evidence(abs(half / percent) if half is not None and percent else None)
        return replace(
            base,
            value=percent,
            lower=percent - half if half is not None else None,
            upper=percent + half if half is not None else None,
            baseline=predicted,
            evidence="indicative" if evidence == "verified" and self._illustrative() else evidence,
            model_id="towt-seasonal:import" + ("+caltrack-daily:gas" if len(sides) > 1 else ""),
            inputs=(
                *base.inputs,
                *(f"factors {label}" for label in labels),
                f"baseline {self._settings.baseline_label}",
            ),
            details={
                "actual_kg": sum(side.actual for side in sides),
                "predicted_kg": predicted,
                "electricity_actual_kg": sides[0].actual,
                "electricity_predicted_kg": sides[0].predicted,
                "cv_rmse": fit.cv,
            },
        )

    def green(self, period: Period) -> Figure:
        """PV used on site over all electricity used, percent."""
        return self._green(period, hourly=False)

    def green_hourly(self, period: Period) -> Figure:
        """The same, counting only generation in the hour of its use."""
        return self._green(period, hourly=True)

    def water_use(self, period: Period) -> Figure:
        """The water meter's advance [m3]."""
        history = self._history
        if not history.has(WATER):
            return undefined("no role site.water")
        base = coverage(history, (WATER,), period)
        if base.n_valid == 0:
            return replace(base, reason="no data in the period")
        rows = history.quarters(period.start, period.known_end)
        return replace(
            base,
            value=float(np.nansum(history.by_quarter(WATER)[rows])),
            evidence=measured(base.completeness),
        )

    def water_saved(self, period: Period) -> Figure | None:
        """Water not used against the baseline, percent."""
        history, settings = self._history, self._settings
        inputs = (WATER, OCCUPANCY)
        if not history.has(WATER):
            return undefined("no role site.water", inputs)
        if settings.baseline_start is None or settings.retrofit is None:
            return undefined("no baseline period or retrofit date in the configuration", inputs)
        model = self._models.water
        if model is None:
            return undefined("too few days of water in the baseline", inputs)
        start = max(period.start, settings.retrofit)
        if start >= period.end:
            return None
        rows = history.day_rows(start, period.known_end)
        expected = model.predict(history.weekday[rows], history.daily_mean(OCCUPANCY)[rows])
        found = avoided_use(history.by_day(WATER)[rows], expected)
        names = inputs if model.kind == "occupancy" else (WATER,)
        base = coverage(history, names, period)
        base = replace(base, inputs=(*base.inputs, f"baseline {settings.baseline_label}"))
        if found.valid == 0 or not np.isfinite(found.fraction):
            return replace(base, reason="no complete day yet")
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
        percent, scale = 100.0 * found.fraction, 100.0 / found.predicted
        return replace(
            base,
            value=percent,
            lower=percent - band * scale if band is not None else None,
            upper=percent + band * scale if band is not None else None,
            baseline=found.predicted,
            evidence="indicative",
            model_id=model.model_id,
            details={
                "used_m3": found.observed,
                "expected_m3": found.predicted,
                "a": model.a,
                "b": model.b,
                "days": float(found.valid),
            },
        )

    def _green(self, period: Period, hourly: bool) -> Figure:
        history = self._history
        if not history.has(IMPORT, PV):
            return undefined("no role site.pv.generation or site.electricity.import")
        base = coverage(history, (IMPORT, EXPORT, PV), period)
        if hourly:
            rows = history.hour_rows(period.start, period.known_end)
            share = matched_share(history.consumption_hour[rows], history.by_hour(PV)[rows])
        else:
            rows = history.quarters(period.start, period.known_end)
            own = self_consumption(history.by_quarter(PV), history.by_quarter(EXPORT))
            share = volumetric_share(history.consumption_quarter[rows], own[rows])
        if not np.isfinite(share):
            return replace(base, reason="no electricity used in the period")
        return replace(base, value=100.0 * share, evidence=measured(base.completeness))

    def _electric_side(self, table: FactorTable, start: int, period: Period) -> _Side:
        history, fit = self._history, self._models.import_hourly
        if fit is None:
            return _Side(0.0, 0.0, None, 0)
        rows = history.hour_rows(start, period.known_end)
        factor = self._factors(table)[rows]
        energy, predicted = history.by_hour(IMPORT)[rows], fit.predicted[rows]
        use = ~(np.isnan(energy) | np.isnan(predicted) | np.isnan(factor))
        total = float(predicted[use].sum())
        kg = float((predicted[use] * factor[use]).sum())
        band = fit.half_width(total, max(1, int(use.sum()) // 24))
        mean_factor = kg / total if total > 0 else 0.0
        return _Side(
            float((energy[use] * factor[use]).sum()),
            kg,
            band * mean_factor if band is not None else None,
            int(use.sum()),
        )

    def _gas_side(self, factor: float, start: int, period: Period) -> _Side:
        history, model = self._history, self._models.gas_daily
        if model is None:
            return _Side(0.0, 0.0, None, 0)
        rows = history.day_rows(start, period.known_end)
        predicted = model.predict(history.daily_mean(TEMPERATURE)[rows])
        found = avoided_use(history.by_day(GAS)[rows], predicted)
        days = max(1, found.valid)
        band = half_width(
            found.predicted,
            model.mean,
            model.sse,
            model.n,
            model.parameters,
            model.rho,
            days,
            days / 30.4375,
        )
        return _Side(
            found.observed * factor,
            found.predicted * factor,
            band * factor if band is not None else None,
            found.valid,
        )

    def _factors(self, table: FactorTable) -> Floats:
        """The table's factor in every hour of the history [kgCO2e/kWh]."""
        if table.kind == "month_hour":
            rows = np.array(table.values, np.float64)
            return monthly_hourly_factor(rows, self._history.month, self._history.hour_of_day)
        value = table.value if table.value is not None else math.nan
        return np.full(len(self._history.hours) - 1, value)

    def _illustrative(self) -> bool:
        return any(table.status == "illustrative" for table in self._tables.values())

    @staticmethod
    def _no_table(carrier: str) -> str:
        if carrier == "gas":
            return "no factor table for gas (kpis.factors)"
        return "no factor table for electricity (kpis.factors)"
