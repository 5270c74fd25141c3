"""Small formulas against their published or hand-computed numbers."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import numpy as np
import pytest

from analytics import framework
from analytics.availability import availability, heartbeat_spans
from analytics.carbon import carbon_reduction, emissions
from analytics.demand import block_demand, load_factor, peak, rolling_demand
from analytics.flags import IntervalFlag
from analytics.green import carbon_free_score, matched_share, volumetric_share
from analytics.metrics import cv_rmse, lag1_autocorrelation, mape, nmbe, wape
from analytics.peak import calibrate, peak_reduction
from analytics.quality import completeness
from analytics.savings import avoided_use
from analytics.statistics import two_sided_t, wilson_interval
from analytics.uncertainty import half_width
from analytics.water import fit_water

NAN = float("nan")
SHARED = Path(os.environ.get("HEYZACK_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
OBSERVED, PREDICTED = np.array([100.0, 120, 80, 110, 90]), np.array([95.0, 125, 85, 100, 92])


def test_error_metrics() -> None:
    assert wape(OBSERVED, PREDICTED) == pytest.approx(0.054)
    assert mape(OBSERVED, PREDICTED) == pytest.approx(0.053459595959595964)
    assert cv_rmse(OBSERVED, PREDICTED) == pytest.approx(0.059833101206606364)
    assert cv_rmse(OBSERVED, PREDICTED, 2) == pytest.approx(0.07724420150837645)
    assert nmbe(OBSERVED, PREDICTED) == pytest.approx(0.006)
    assert nmbe(OBSERVED, PREDICTED, 1) == pytest.approx(0.0075)


def test_metrics_without_a_denominator_are_undefined_rather_than_zero() -> None:
    nothing = np.zeros(3)
    assert all(math.isnan(f(nothing, nothing)) for f in (wape, mape, cv_rmse, nmbe))


def test_autocorrelation_does_not_bridge_missing_days() -> None:
    alternating = np.array([1.0, -1, 1, -1, NAN, 1, -1, 1, -1])
    assert lag1_autocorrelation(alternating) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (190, 200, 0.9104218518612239, 0.972617354399236),
        (198, 200, 0.9642782382838231, 0.9972533418664555),
    ],
)
def test_wilson_interval(k: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(k, n) == pytest.approx((low, high), rel=1e-12)


@pytest.mark.parametrize(
    ("df", "t"), [(1, 6.313751515), (10, 1.812461123), (30, 1.697260887), (120, 1.657650899)]
)
def test_student_t_at_90_percent(df: float, t: float) -> None:
    assert two_sided_t(0.90, df) == pytest.approx(t, rel=2e-9)


def test_carbon_free_energy() -> None:
    load, made = np.full(4, 10.0), np.array([0.0, 12, 15, 4])
    grid = np.array([0.2, 0.5, 0.9, 0.4])
    assert volumetric_share(load, made) == pytest.approx(0.775)
    assert matched_share(load, made) == pytest.approx(0.6)
    assert carbon_free_score(load, made, grid) == pytest.approx(0.71)


def test_a_missing_factor_lowers_coverage_and_is_not_zero() -> None:
    found = emissions(np.array([10.0, 10.0]), np.array([0.1, NAN]))
    assert (found.kg, found.coverage) == (1.0, 0.5)


def test_carbon_reduction_weights_each_hour_by_its_factor() -> None:
    reduction = carbon_reduction(np.array([0.0, 10]), np.array([10.0, 10]), np.array([0.3, 0.1]))
    assert reduction == pytest.approx(0.75)


def test_savings_use_only_what_both_sides_know_and_may_be_negative() -> None:
    found = avoided_use(np.array([12.0, NAN, 5]), np.array([10.0, 10, NAN]))
    assert (found.valid, found.avoided, found.fraction) == (1, -2.0, pytest.approx(-0.2))


def test_no_band_without_a_degree_of_freedom() -> None:
    assert half_width(100, 10, 5, n=10, parameters=3, rho=0.9, m=5, months=1) is None


def test_the_band_narrows_with_the_length_of_the_report() -> None:
    month = half_width(30 * 10, 10, 365.0, 365, 3, 0.2, 30, 1)
    year = half_width(365 * 10, 10, 365.0, 365, 3, 0.2, 365, 12)
    assert month is not None
    assert year is not None
    assert year / 3650 < month / 300


def test_a_placebo_week_shows_no_peak_reduction_after_calibration() -> None:
    rng = np.random.default_rng(3)
    predicted = rng.uniform(80, 100, 50)
    actual = predicted * 1.1 * rng.uniform(0.95, 1.05, 50)
    calibration = calibrate(actual, predicted, np.ones(50, np.bool_))
    assert calibration is not None
    assert calibration.kappa == pytest.approx(1.1, rel=0.03)
    found = peak_reduction(110.0, 100.0, calibration)
    assert found is not None
    assert found.lower < 0 < found.upper


def test_too_few_weeks_calibrate_nothing() -> None:
    assert calibrate(np.ones(7), np.ones(7), np.ones(7, np.bool_)) is None


def test_a_peak_beside_a_gap_is_a_lower_bound() -> None:
    found = peak(np.array([1.0, 9.0, NAN, 2.0]))
    assert found is not None
    assert found.lower_bound
    assert peak(np.array([NAN, NAN])) is None


def test_rolling_demand_never_bridges_a_gap() -> None:
    found = rolling_demand(np.array([2.0, 4, NAN, 6, 8]), 2)
    assert np.isnan(found).tolist() == [True, False, True, True, False]
    assert (found[1], found[4]) == (3.0, 7.0)


@pytest.mark.skipif(not (SHARED / "loadshape").exists(), reason=f"the recorded load is not at {SHARED}")
def test_demand_of_a_recorded_building() -> None:
    with (SHARED / "loadshape" / "tests_data_test_kw.csv").open() as file:
        kw = np.array([float(value) if value else NAN for _, value in csv.reader(file)])
    assert (len(kw), int(np.isnan(kw).sum())) == (5472, 743)
    assert float(np.nansum(kw)) / 4 == pytest.approx(8519.4255)
    assert float(np.nanmean(kw)) == pytest.approx(7.206111651511948)
    found = [peak(kw), peak(block_demand(kw, 2)), peak(block_demand(kw, 4))]
    assert [p.value for p in found if p] == pytest.approx([23.073, 22.0735, 21.0225])
    assert found[0] is not None
    assert found[0].index == 13 * 96 + 16 * 4 + 2, "2013-08-14 16:30"
    assert load_factor(kw) == pytest.approx(0.312318, abs=5e-7)


def test_uptime_counts_silence_as_down_and_failures_as_gaps() -> None:
    s = 10**9
    up = heartbeat_spans(np.concatenate([np.arange(0, 3600, 60), np.arange(5400, 7200, 60)]) * s, 60 * s)
    found = availability(up, 0, 7200 * s)
    assert found.availability == pytest.approx(0.75)
    assert (found.failures, found.mtbf_h, found.mttr_min) == (1, pytest.approx(1.5), pytest.approx(30))


def test_without_a_failure_there_is_no_time_between_failures() -> None:
    found = availability(np.array([[0, 100]]), 0, 100)
    assert (found.availability, found.mtbf_h, found.mttr_min) == (1.0, None, None)


def test_completeness_counts_absent_intervals_as_missing() -> None:
    flags = np.array([0, IntervalFlag.ESTIMATED], np.uint16)
    found = completeness(np.array([100.0, 50.0]), flags, 4)
    assert (found.share, found.estimated) == (37.5, 50.0)


def test_water_follows_people_where_they_are_counted() -> None:
    rng = np.random.default_rng(1)
    people, weekday = rng.uniform(0, 100, 200), np.arange(200) % 7
    model = fit_water(2 + 0.05 * people + rng.normal(0, 0.1, 200), weekday, people)
    assert model is not None
    assert model.kind == "occupancy"
    assert (model.a, model.b) == (pytest.approx(2, abs=0.1), pytest.approx(0.05, abs=0.002))


def test_water_falls_back_to_weekdays_without_people() -> None:
    weekday = np.arange(70) % 7
    model = fit_water(1.0 + weekday, weekday, np.full(70, NAN))
    assert model is not None
    assert model.kind == "weekday"
    assert model.predict(np.array([2]), np.array([NAN])).tolist() == [3.0]


@pytest.mark.parametrize(
    ("attained", "sustained", "status"),
    [
        (1.2, True, "exceeding"),
        (1.2, False, "on_track"),
        (1.0, True, "on_track"),
        (0.9, False, "near"),
        (0.89, False, "below"),
        (-1.0, False, "below"),
        (None, False, "undefined"),
    ],
)
def test_status(attained: float | None, sustained: bool, status: str) -> None:
    assert framework.status(attained, sustained) == status


@pytest.mark.parametrize(
    ("value", "lower", "upper", "claim"),
    [
        (25, 21, 29, "met"),
        (25, 15, 35, "likely"),
        (25, -1, 51, "not_shown"),
        (15, 10, 18, "not_shown"),
        (25, None, None, "likely"),
    ],
)
def test_claim(value: float, lower: float | None, upper: float | None, claim: str) -> None:
    assert framework.claim(value, lower, upper, 20) == claim


@pytest.mark.parametrize(
    ("cv", "bias", "fsu", "evidence"),
    [
        (0.2, 0.0, 0.3, "verified"),
        (0.2, 0.0, 0.6, "indicative"),
        (0.2, 0.0, None, "indicative"),
        (0.28, 0.01, 0.3, "indicative"),
        (0.35, 0.0, 0.1, "rejected"),
        (NAN, 0.0, 0.1, "rejected"),
    ],
)
def test_evidence(cv: float, bias: float, fsu: float | None, evidence: str) -> None:
    assert framework.evidence(cv, bias, fsu) == evidence


def test_lower_is_better_turns_attainment_round() -> None:
    assert framework.attainment(50, 40, lower_is_better=True) == 0.8
    assert framework.attainment(0, 40, lower_is_better=True) is None
