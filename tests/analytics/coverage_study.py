"""How often the published band of energy_savings holds the truth, on buildings whose truth is known.

    python -m tests.analytics.coverage_study [--seeds 30] [--json]

Each seed is another building with other weather and people, a baseline year and a reporting year that begin
in another season, and works of another depth; every third seed is a placebo whose works do nothing. Both
buildings, with and without the works, are computed under the same weather, so the true saving of each month
is known exactly. Nothing here is fitted to the study: it runs the KPI code as the worker does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from analytics.calendar import DAY, Cadence, edges, to_ns
from analytics.intervals import Columns, roll_up
from gateway.kpi.day_types import public_holidays
from gateway.kpi.energy import EnergyFigures
from gateway.kpi.figures import Period, Settings
from gateway.kpi.history import HOUR, IMPORT, QUARTER, TEMPERATURE, History, RoleHistory
from gateway.kpi.models import Models
from simulators.loads import AFTER, BEFORE, Conditions, Retrofit, conditions, loads
from simulators.noise import EPOCH_S, Window

PARIS = ZoneInfo("Europe/Paris")
MONTHS = 12
DEPTHS = (0.0, 0.5, 1.0)
"""Depth of the works by seed: none (placebo), half, all of what the demo's retrofit does."""


@dataclass(frozen=True, slots=True)
class Month:
    """One building's reporting month by one model; percent of what would have been used."""

    seed: int
    model: str
    depth: float
    truth: float
    value: float
    lower: float
    upper: float

    @property
    def held(self) -> bool:
        return self.lower <= self.truth <= self.upper

    @property
    def false_positive(self) -> bool:
        return self.depth == 0 and self.lower > 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of one model: months, share [%] whose band holds the truth, the band's median half width and the root
    mean square error [percentage points], placebo months and the share [%] of them with lower > 0."""

    model: str
    months: int
    held: float
    half_width: float
    rmse: float
    bias: float
    placebo_months: int
    false_positives: float


def study(seeds: Sequence[int]) -> list[Month]:
    """Every reporting month of every seed: as published, and by each model alone."""
    return [month for seed in seeds for month in _building(seed)]


def coverage(months: Sequence[Month]) -> list[Coverage]:
    """The figures of each model, in the order in which they first appear."""
    found = []
    for model in dict.fromkeys(month.model for month in months):
        of = [month for month in months if month.model == model]
        placebo = [month for month in of if month.depth == 0]
        error = np.array([month.value - month.truth for month in of])
        found.append(
            Coverage(
                model=model,
                months=len(of),
                held=100.0 * float(np.mean([month.held for month in of])),
                half_width=float(np.median([(month.upper - month.lower) / 2 for month in of])),
                rmse=float(np.sqrt(np.mean(error**2))),
                bias=float(error.mean()),
                placebo_months=len(placebo),
                false_positives=100.0 * float(np.mean([month.false_positive for month in placebo]))
                if placebo
                else float("nan"),
            )
        )
    return found


def _building(seed: int) -> list[Month]:
    depth = DEPTHS[seed % len(DEPTHS)]
    begin = to_ns(datetime(2021 + seed % 3, 1 + (seed * 5) % 12, 1, tzinfo=PARIS))
    months = edges(PARIS, Cadence.MONTHLY, begin, begin + 740 * DAY)[: 2 * MONTHS + 1]
    start, works, end = int(months[0]), int(months[MONTHS]), int(months[-1])
    window = Window((start - EPOCH_S * 10**9) // QUARTER, (end - start) // QUARTER)
    given = conditions(seed, window, PARIS)
    without = loads(seed, window, given, BEFORE).load / 4.0
    with_works = loads(seed, window, given, _partly(depth)).load / 4.0
    quarters = start + QUARTER * np.arange(window.count, dtype=np.int64)
    used = np.where(quarters >= works, with_works, without)
    history = _history(start, end, used, given)
    settings = Settings(None, start, works, works, "study", {}, {})
    figures = EnergyFigures(history, settings, Models(history, settings))
    found = []
    for a, b in pairwise(months[MONTHS:].tolist()):
        rows = history.quarters(a, b)
        truth = 100.0 * (1.0 - float(with_works[rows].sum() / without[rows].sum()))
        for model, figure in figures.by_model(Period(Cadence.MONTHLY, a, b, b)).items():
            if figure.value is None or figure.lower is None or figure.upper is None:
                continue
            found.append(Month(seed, model, depth, truth, figure.value, figure.lower, figure.upper))
    return found


def _partly(depth: float) -> Retrofit:
    """Works between none (0) and the demo's (1)."""
    mixed = {
        field.name: (1 - depth) * getattr(BEFORE, field.name) + depth * getattr(AFTER, field.name)
        for field in fields(Retrofit)
    }
    return Retrofit(**mixed)


def _history(start: int, end: int, used_kwh: np.ndarray, given: Conditions) -> History:
    quarter_edges = np.arange(start, end + QUARTER, QUARTER, dtype=np.int64)
    hours = np.arange(start, end + HOUR, HOUR, dtype=np.int64)
    days = edges(PARIS, Cadence.DAILY, start, end)
    roles = {}
    for name, kind, values in (
        (IMPORT, "counter", used_kwh),
        (TEMPERATURE, "gauge", given.weather.temperature),
    ):
        fine = _columns(quarter_edges, values, kind)
        coarse = (roll_up(fine, QUARTER, hours), roll_up(fine, QUARTER, days))
        roles[name] = RoleHistory(kind, "", fine, *coarse)
    return History(PARIS, start, end, hours, days, roles, public_holidays("FR", PARIS, start, end))


def _columns(quarter_edges: np.ndarray, values: np.ndarray, kind: str) -> Columns:
    n = len(values)
    nothing, full = np.full(n, np.nan), np.full(n, 100.0)
    mean, delta = (nothing, values) if kind == "counter" else (values, nothing)
    return Columns(
        quarter_edges[:-1], mean, nothing, nothing, delta, np.ones(n), full, np.zeros(n, np.uint16)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = coverage(study(range(options.seeds)))
    if options.json:
        sys.stdout.write(json.dumps([asdict(row) for row in found], indent=2) + "\n")
        return
    for row in found:
        sys.stdout.write(
            f"{row.model:16} {row.months:4} months  held {row.held:5.1f} %  half width {row.half_width:5.2f}"
            f"  rmse {row.rmse:5.2f}  bias {row.bias:+5.2f}"
            f"  placebo lower > 0: {row.false_positives:5.1f} % of {row.placebo_months}\n"
        )


if __name__ == "__main__":
    main()
