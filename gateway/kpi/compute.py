"""All KPIs of a site, for the last 12 complete periods and the current one. Pure: history in, results out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from analytics.availability import Availability, availability
from analytics.calendar import Cadence
from gateway.kpi.catalogue import catalogue
from gateway.kpi.energy import EnergyFigures
from gateway.kpi.environment import EnvironmentFigures
from gateway.kpi.figures import (
    Figure,
    FigureOf,
    Period,
    Settings,
    coverage,
    measured,
    periods,
    periods_between,
    results_of,
    undefined,
)
from gateway.kpi.history import History
from gateway.kpi.models import Fits, Models
from gateway.records import KpiResult, Status

__all__ = ["Inputs", "Settings", "compute_kpis"]

CLAIMING = frozenset({"energy_savings", "peak_load_reduction", "carbon_reduction", "water_conservation"})
"""KPIs whose band may prove their target."""

SAME_END_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class Inputs:
    """What KPIs are made from. up: spans [UTC ns] in which the gateway ran; started: its first sign of
    life. fits: models of earlier refreshes, kept by the caller."""

    history: History
    settings: Settings
    now: int
    up: NDArray[np.int64]
    started: int
    fits: Fits = field(default_factory=dict)


def compute_kpis(inputs: Inputs, between: tuple[int, int] | None = None) -> list[KpiResult]:
    """Every KPI the site can have, each oldest period first. What cannot be computed says why.

    between: periods that touch [start, end) [UTC ns] instead of the last 12 complete ones and the current.
    """
    figures = _figures(inputs)
    results: list[KpiResult] = []
    for name, definition in catalogue().items():
        if name not in figures:
            continue
        cadence = Cadence(definition.cadence)
        closed = inputs.now if name in _UPTIME else inputs.history.end
        zone, first = inputs.history.zone, inputs.history.start
        spans = (
            periods_between(zone, cadence, closed, first, *between)
            if between is not None
            else periods(zone, cadence, closed, first)
        )
        target = inputs.settings.targets.get(name, definition.target)
        results += results_of(definition, target, spans, figures[name], inputs.now, name in CLAIMING)
    return [_entered(result) for result in results]


_UPTIME = frozenset({"system_uptime", "mtbf", "mttr"})


def _figures(inputs: Inputs) -> Mapping[str, FigureOf]:
    history, settings = inputs.history, inputs.settings
    models = Models(history, settings, inputs.fits)
    energy = EnergyFigures(history, settings, models)
    environment = EnvironmentFigures(history, settings, models)
    operation = _Operation(inputs)
    return {
        "energy_savings": energy.savings,
        "peak_load_reduction": energy.peak_reduction,
        "energy_use": energy.use,
        "energy_intensity": energy.intensity,
        "peak_demand": energy.peak_demand,
        "load_factor": energy.load_factor,
        "carbon_reduction": environment.reduction,
        "carbon_emissions": environment.emissions,
        "green_energy_usage": environment.green,
        "green_energy_hourly": environment.green_hourly,
        "water_use": environment.water_use,
        "water_conservation": environment.water_saved,
        "waste_reduction": _only_now("no weights have been entered"),
        "system_uptime": operation.uptime,
        "mtbf": operation.mtbf,
        "mttr": operation.mttr,
        "data_completeness": operation.completeness,
        "automation_success": _only_now("no commands"),
    }


class _Operation:
    """The gateway's own running and the completeness of its data."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def uptime(self, period: Period) -> Figure | None:
        """Availability since the first sign of life, percent."""
        found = self._availability(period)
        if found is None:
            return None
        # What agreed time covers of the period: the day of installation is not a day of downtime.
        share = 100.0 * found.agreed_ns / (period.known_end - period.start)
        return Figure(
            value=100.0 * found.availability,
            completeness=100.0,
            n_valid=1,
            n_expected=1,
            evidence="verified",
            inputs=("_gateway/heartbeat",),
            details={
                "down_s": found.down_ns / 1e9,
                "failures": float(found.failures),
                "agreed_share_percent": share,
            },
        )

    def mtbf(self, period: Period) -> Figure | None:
        return self._between(period, lambda found: found.mtbf_h)

    def mttr(self, period: Period) -> Figure | None:
        return self._between(period, lambda found: found.mttr_min)

    def completeness(self, period: Period) -> Figure:
        """Covered share of all roles' time, percent: the mean over roles, the least role in the details."""
        history = self._inputs.history
        shares = {name: coverage(history, (name,), period).completeness for name in history.roles}
        if not shares:
            return undefined("no roles in the configuration")
        least = min(shares, key=lambda name: shares[name])
        base = coverage(history, tuple(shares), period)
        value = sum(shares.values()) / len(shares)
        return replace(
            base,
            value=value,
            completeness=100.0,
            evidence=measured(100.0),
            details={"least": least, "least_percent": shares[least]},
        )

    def _availability(self, period: Period) -> Availability | None:
        start = max(period.start, self._inputs.started)
        # A refresh is never exactly at a heartbeat: its last seconds are not downtime yet.
        end = period.known_end
        last = int(self._inputs.up[-1, 1]) if len(self._inputs.up) else 0
        if last < end <= last + SAME_END_NS:
            end = last
        return availability(self._inputs.up, start, end) if start < end else None

    def _between(self, period: Period, pick: Callable[[Availability], float | None]) -> Figure | None:
        found = self._availability(period)
        if found is None:
            return None
        value = pick(found)
        reason = "no failure in the period" if value is None else ""
        return Figure(
            value=value,
            completeness=100.0,
            n_valid=1,
            n_expected=1,
            evidence="verified" if value is not None else "none",
            reason=reason,
            inputs=("_gateway/heartbeat",),
            details={"failures": float(found.failures)},
        )


def _only_now(reason: str) -> FigureOf:
    """A KPI without any data: one undefined result, for the current period."""
    return lambda period: undefined(reason) if period.partial else None


def _entered(result: KpiResult) -> KpiResult:
    """A manual KPI without entries is not entered, rather than undefined."""
    manual = catalogue()[result.kpi].collection == "manual"
    if not manual or result.value is not None:
        return result
    return msgspec.structs.replace(result, status=Status.NOT_ENTERED)
