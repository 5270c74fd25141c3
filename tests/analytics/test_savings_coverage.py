"""The published band of energy_savings is honest: it holds the truth, and a placebo earns nothing.

The full study, with its figures, is coverage_study.py; here are twelve of its buildings.
"""

from __future__ import annotations

import numpy as np
import pytest

from analytics.metrics import lag1_autocorrelation, long_run_autocorrelation
from analytics.uncertainty import effective_n
from tests.analytics.coverage_study import Coverage, coverage, study


@pytest.fixture(scope="module")
def found() -> dict[str, Coverage]:
    return {row.model: row for row in coverage(study(range(12)))}


@pytest.mark.parametrize("model", ["published", "daily", "towt"])
def test_a_90_percent_band_holds_the_truth_in_at_least_85_of_100_months(
    found: dict[str, Coverage], model: str
) -> None:
    assert found[model].months == 144
    assert found[model].held >= 85


@pytest.mark.parametrize("model", ["published", "daily", "towt"])
def test_works_that_did_nothing_are_seldom_credited(found: dict[str, Coverage], model: str) -> None:
    assert found[model].placebo_months == 48
    assert found[model].false_positives <= 10


def test_the_band_is_narrow_enough_to_show_something(found: dict[str, Coverage]) -> None:
    """A band that holds everything is no merit; the demo's works save some 25 %."""
    assert found["published"].half_width < 4
    assert abs(found["published"].bias) < 0.5


def test_a_slow_drift_is_seen_where_lag_1_sees_none() -> None:
    rng = np.random.default_rng(4)
    residual = rng.normal(0, 10, 360) + 3 * np.sin(np.arange(360) / 360 * 2 * np.pi)
    slow = long_run_autocorrelation(residual, 30)
    assert abs(lag1_autocorrelation(residual)) < 0.2
    sums = np.convolve(residual, np.ones(30), "valid")
    variance_of_sums = 30 * np.mean(residual**2) * 360 / effective_n(360, slow)
    assert variance_of_sums == pytest.approx(np.mean(sums**2), rel=1e-9)


@pytest.mark.parametrize("days", [0, 20, 60])
def test_without_enough_days_no_drift_is_claimed(days: int) -> None:
    assert long_run_autocorrelation(np.ones(days), 30) == 0


def test_missing_days_break_the_runs() -> None:
    residual = np.where(np.arange(400) % 20 == 0, np.nan, 1.0)
    assert long_run_autocorrelation(residual, 30) == 0
    assert long_run_autocorrelation(residual, 10) > 0.5
