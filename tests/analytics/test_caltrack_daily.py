"""The CalTRACK daily model reproduces what eemeter 2.10.11 finds on its own sample meters.

Both alignments are tested: eemeter's loader puts local-midnight days onto UTC days, which moves the result;
with the meter's own days the saving comes nearer to the truth of 10 %.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import math
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.baseline.daily import GRID_C, GRID_F, MIN_DEGREE_DAYS_F, DailyModel, fit_daily
from analytics.calendar import Cadence, edges, to_ns
from analytics.savings import Avoided, avoided_use
from analytics.statistics import two_sided_t
from analytics.uncertainty import effective_n, half_width, improved_factor

SAMPLES = Path(__file__).parent / "data" / "eemeter_samples"
CHICAGO, UTC = ZoneInfo("America/Chicago"), ZoneInfo("UTC")


def read(name: str) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(SAMPLES / name, "rt") as file:
        rows = list(csv.reader(file))[1:]
    times = [to_ns(datetime.fromisoformat(start)) for start, _ in rows]
    return np.array(times, np.int64), np.array([float(value) for _, value in rows])


def study(meter: str, zone: ZoneInfo, cooling: bool) -> tuple[DailyModel, Avoided]:
    """Baseline 2015-12-27..2016-12-25, reporting 2017-01-04..2018-01-03, days of the given zone."""
    start, use = read(meter)
    time, temperature = read("il-tempF.csv.gz")
    days = edges(zone, Cadence.DAILY, int(start[0]), int(start[-2]) + 1)
    row = np.searchsorted(days, time, side="right") - 1
    inside = (row >= 0) & (row < len(days) - 1)
    count = np.bincount(row[inside], minlength=len(days) - 1)
    mean = np.bincount(row[inside], temperature[inside], len(days) - 1) / count

    def span(first: datetime, last: datetime) -> np.ndarray:
        return (days[:-1] >= to_ns(first)) & (days[:-1] < to_ns(last))

    use = use[: len(days) - 1]
    base = span(datetime(2015, 12, 27, tzinfo=zone), datetime(2016, 12, 26, tzinfo=zone))
    report = span(datetime(2017, 1, 4, tzinfo=zone), datetime(2018, 1, 4, tzinfo=zone))
    model = fit_daily(use[base], mean[base], GRID_F, MIN_DEGREE_DAYS_F, cooling)
    assert model is not None
    return model, avoided_use(use[report], model.predict(mean[report]))


def test_electricity_on_utc_days_is_eemeters_model_to_its_last_digits() -> None:
    model, found = study("il-electricity-cdd-hdd-daily.csv.gz", UTC, cooling=True)
    assert (model.candidates, model.qualified) == (2014, 1543)
    assert (model.balance_h, model.balance_c) == (53, 68)
    assert model.mu == pytest.approx(13.472385591795213, rel=1e-12)
    assert model.beta_h == pytest.approx(1.1122947857443488, rel=1e-12)
    assert model.beta_c == pytest.approx(2.516255026490125, rel=1e-12)
    assert model.r2_adjusted == pytest.approx(0.7684732992831353, rel=1e-12)
    assert model.cv_rmse_caltrack == pytest.approx(0.25431292806236583, rel=1e-12)
    assert model.cv_rmse == pytest.approx(0.254663947, rel=1e-8)
    assert model.rho == pytest.approx(-0.01479566809498993, rel=1e-9)
    assert found.predicted == pytest.approx(9876.148496472535, rel=1e-12)
    assert found.observed == pytest.approx(9082.24, rel=1e-12)
    assert found.avoided == pytest.approx(793.9084964725346, rel=1e-10)


def test_electricity_on_the_meters_own_days() -> None:
    model, found = study("il-electricity-cdd-hdd-daily.csv.gz", CHICAGO, cooling=True)
    assert (model.balance_h, model.balance_c) == (53, 67)
    assert model.mu == pytest.approx(12.94169429, rel=1e-9)
    assert model.beta_h == pytest.approx(1.13581483, rel=1e-8)
    assert model.beta_c == pytest.approx(2.35373718, rel=1e-8)
    assert model.r2_adjusted == pytest.approx(0.774857262, rel=1e-8)
    assert found.avoided == pytest.approx(836.2295, abs=5e-5)
    assert found.fraction == pytest.approx(0.0843, abs=5e-5)


def test_gas_has_no_cooling_candidates() -> None:
    model, found = study("il-gas-intercept-only-daily.csv.gz", UTC, cooling=False)
    assert model.candidates == 62
    assert model.balance_h == 71
    assert np.isnan(model.balance_c)
    assert model.mu == pytest.approx(2.6982294664897872, rel=1e-12)
    assert model.beta_h == pytest.approx(0.0018332743311146708, rel=1e-9)
    assert model.r2_adjusted == pytest.approx(0.0007940474896930283, rel=1e-9)
    assert found.predicted == pytest.approx(995.7510480218257, rel=1e-12)


def test_negative_autocorrelation_earns_no_credit() -> None:
    """eemeter's n' of 375.96 from 365 days (rho = -0.0148) is clamped to 365 here."""
    assert effective_n(365, -0.01479566809498993) == 365
    assert effective_n(365, 0.5) == pytest.approx(365 / 3)


def eemeter_band(model: DailyModel, reporting_days: int) -> float:
    """The 90 % band of eemeter 2.x, by its own definition, as its published metrics have it.

    Where it differs from ours: the base is ybar * n, what the *baseline* used, instead of what the model
    predicts for the reporting period; rho is not clamped, so that a negative one adds days; t and RMSE have
    n - c degrees of freedom (c without the intercept), where the improved formula has n' - p; and a month has
    30 days.
    """
    c = model.parameters - 1
    effective = model.n * (1 - model.rho) / (1 + model.rho)
    rmse = math.sqrt(model.sse / (model.n - c))
    return (
        model.mean
        * model.n
        * two_sided_t(0.90, model.n - c)
        * improved_factor(reporting_days / 30)
        * (rmse / model.mean)
        * math.sqrt(model.n / effective * (1 + 2 / effective) / reporting_days)
    )


def test_our_band_differs_from_eemeters_by_its_three_quirks_and_nothing_else() -> None:
    model, found = study("il-electricity-cdd-hdd-daily.csv.gz", UTC, cooling=True)
    assert eemeter_band(model, found.valid) == pytest.approx(315.4153675313854, rel=1e-10)

    ours = half_width(
        found.predicted, model.mean, model.sse, model.n, model.parameters, model.rho, found.valid, 365 / 30
    )
    clamped = dataclasses.replace(model, rho=0.0)
    p, c = model.parameters, model.parameters - 1
    freedom = two_sided_t(0.90, model.n - p) / two_sided_t(0.90, model.n - c)
    freedom *= math.sqrt((model.n - c) / (model.n - p))
    base = found.predicted / (model.mean * model.n)
    assert ours == pytest.approx(eemeter_band(clamped, found.valid) * base * freedom, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_prefix_sum_search_finds_what_exhaustive_least_squares_finds(seed: int, cooling: bool) -> None:
    rng = np.random.default_rng(seed)
    t = 12 + 10 * np.sin(np.arange(200) / 30) + rng.normal(0, 3, 200)
    y = 50 + 3 * np.maximum(14 - t, 0) + 2 * np.maximum(t - 19, 0) + rng.normal(0, 4, 200)
    grid = GRID_C[::6]
    model = fit_daily(y, t, grid, cooling=cooling)
    assert model is not None
    assert model.r2_adjusted == pytest.approx(exhaustive(y, t, grid, cooling), rel=1e-9)


def exhaustive(y: np.ndarray, t: np.ndarray, grid: np.ndarray, cooling: bool) -> float:
    best, total = 0.0, float(np.sum((y - y.mean()) ** 2))
    cooling_points = [*grid, None] if cooling else [None]
    for h in [*grid, None]:
        for c in cooling_points:
            if h is not None and c is not None and c < h:
                continue
            columns = [np.maximum(h - t, 0)] if h is not None else []
            columns += [np.maximum(t - c, 0)] if c is not None else []
            if not columns or any((x > 0).sum() < 10 or x.sum() < 20 / 1.8 for x in columns):
                continue
            design = np.column_stack([np.ones(len(y)), *columns])
            beta, *_ = np.linalg.lstsq(design, y, rcond=None)
            if (beta <= 0).any():
                continue
            sse = float(np.sum((y - design @ beta) ** 2))
            n, p = design.shape
            best = max(best, 1 - sse / total * (n - 1) / (n - p))
    return best
