"""A KPI over a period, on its way to a result: periods, figures, and what the framework makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from analytics import framework
from analytics.calendar import Cadence, edges, last_complete
from analytics.intervals import Columns
from analytics.quality import completeness
from gateway.kpi.catalogue import KpiDefinition
from gateway.kpi.history import QUARTER, History
from gateway.records import KpiResult, Status

COMPLETE_PERIODS = 12
FIRST_JUDGED_SHARE = 0.25
"""A running period is judged against its target once this share of it has passed."""
SUSTAINED = 2
"""Periods before that must exceed the target too before one is called exceeding."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Settings:
    """The site's KPI settings as instants: baseline [start, end), retrofit [UTC ns], None where not set."""

    area_m2: float | None
    baseline_start: int | None
    baseline_end: int | None
    retrofit: int | None
    baseline_label: str
    targets: Mapping[str, float]
    factors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Period:
    """A local day, week or month. known_end: up to where it is known; partial: it still runs."""

    cadence: Cadence
    start: int
    end: int
    known_end: int

    @property
    def partial(self) -> bool:
        return self.known_end < self.end

    @property
    def elapsed(self) -> float:
        return (self.known_end - self.start) / (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Figure:
    """One KPI's value over one period [the KPI's unit]; value None with the reason when there is none."""

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None
    completeness: float = 0.0
    estimated_share: float = 0.0
    n_valid: int = 0
    n_expected: int = 0
    evidence: str = "none"
    model_id: str = ""
    reason: str = ""
    inputs: tuple[str, ...] = ()
    details: Mapping[str, float | str] = field(default_factory=dict)


FigureOf = Callable[[Period], Figure | None]
"""None: the KPI says nothing about this period and no result is made."""


def periods(zone: ZoneInfo, cadence: Cadence, closed: int, first: int) -> list[Period]:
    """The last 12 complete periods that begin at or after `first`'s, and the current one."""
    found = last_complete(zone, cadence, closed, COMPLETE_PERIODS).tolist()
    return [
        Period(cadence, a, b, min(b, closed)) for a, b in pairwise(found) if b > first and min(b, closed) > a
    ]


def periods_between(
    zone: ZoneInfo, cadence: Cadence, closed: int, first: int, start: int, end: int
) -> list[Period]:
    """The periods that touch [start, end) and `first` onwards, as far as they are known at `closed`."""
    found = edges(zone, cadence, start, end).tolist()
    return [
        Period(cadence, a, b, min(b, closed)) for a, b in pairwise(found) if b > first and min(b, closed) > a
    ]


def undefined(reason: str, inputs: Sequence[str] = ()) -> Figure:
    return Figure(reason=reason, inputs=tuple(inputs))


def results_of(
    definition: KpiDefinition,
    target: float | None,
    spans: Sequence[Period],
    figure_of: FigureOf,
    now: int,
    claims: bool,
) -> list[KpiResult]:
    """The results of one KPI, oldest first. claims: the figure has a band that may prove its target."""
    results: list[KpiResult] = []
    exceeded = 0
    for period in spans:
        figure = figure_of(period)
        if figure is None:
            continue
        value = _finite(figure.value)
        attained = None
        if value is not None and target is not None:
            attained = framework.attainment(value, target, definition.lower_is_better)
        judged, restriction = _may_be_judged(period, figure)
        status = framework.status(attained, exceeded >= SUSTAINED) if judged else "undefined"
        exceeded = exceeded + 1 if attained is not None and attained >= framework.EXCEEDING else 0
        lower, upper = _finite(figure.lower), _finite(figure.upper)
        claim = "not_shown"
        if claims and judged and value is not None and target is not None:
            claim = framework.claim(value, lower, upper, target)
        results.append(
            KpiResult(
                kpi=definition.id,
                cadence=definition.cadence,
                scope="site",
                start=period.start,
                end=period.end,
                unit=definition.unit,
                value=value,
                lower=lower,
                upper=upper,
                target=target,
                baseline=_finite(figure.baseline),
                attainment=attained,
                completeness=round(figure.completeness, 3),
                estimated_share=round(figure.estimated_share, 3),
                n_valid=figure.n_valid,
                n_expected=figure.n_expected,
                status=Status(status),
                evidence=figure.evidence,
                claim=claim,
                partial=period.partial,
                model_id=figure.model_id,
                reason=figure.reason or (restriction if value is not None and target is not None else ""),
                inputs=figure.inputs,
                details=_plain(figure.details),
                computed=now,
            )
        )
    return results


def coverage(history: History, names: Sequence[str], period: Period) -> Figure:
    """How much of the named roles' quarter-hours the period has: a figure without a value, to build on."""
    rows = history.quarters(period.start, period.known_end)
    expected = (period.known_end - period.start) // QUARTER
    present: list[Columns] = [history.roles[name].quarter for name in names if history.has(name)]
    if not present or expected <= 0:
        return Figure(inputs=tuple(names))
    least = np.min([columns.completeness[rows] for columns in present], axis=0)
    flags = np.bitwise_or.reduce([columns.flags[rows] for columns in present])
    found = completeness(least, flags, int(expected))
    return Figure(
        completeness=found.share,
        estimated_share=found.estimated,
        n_valid=int(np.count_nonzero(least > 0)),
        n_expected=int(expected),
        inputs=tuple(name for name in names if history.has(name)),
    )


def measured(share: float) -> str:
    """The evidence of a figure that needs no model."""
    return "verified" if share >= framework.MIN_COMPLETENESS else "indicative"


def _may_be_judged(period: Period, figure: Figure) -> tuple[bool, str]:
    if figure.completeness < framework.MIN_COMPLETENESS:
        return False, "less than 90 % of the data is there"
    if period.partial and period.elapsed < FIRST_JUDGED_SHARE:
        return False, "the period has only begun"
    return True, ""


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _plain(details: Mapping[str, float | str]) -> dict[str, float | str]:
    """Details as JSON can carry them: no NaN."""
    return {
        name: value if isinstance(value, str) else float(value)
        for name, value in details.items()
        if isinstance(value, str) or math.isfinite(value)
    }
