"""A real commercial building: the uncertainty that nmecr finds for its daily model, from the same residuals.

nmecr's daily model itself (weekdays and its own knots) has no counterpart here; its residuals' figures are
inputs: n = 364, rho, SSE and mean of the baseline 2012-03-02..2013-02-28.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from analytics.savings import avoided_use
from analytics.uncertainty import effective_n, half_width

N, SSE, MEAN, RHO = 364, 422455077.60469985, 16289.863152420332, 0.6079502589807628
REPORTING = Path(__file__).parents[3] / "shared" / "data" / "nmecr" / "expected_overview_savings.csv"


def test_effective_days_and_scatter() -> None:
    assert effective_n(N, RHO) == pytest.approx(88.7503235463639, rel=1e-12)
    assert 100 * math.sqrt(SSE / (N - 19)) / MEAN == pytest.approx(6.793026108, rel=1e-9)


@pytest.mark.parametrize(("parameters", "expected"), [(19, 0.2659200880283145), (17, 0.2620893706979908)])
def test_fractional_uncertainty_with_nmecrs_own_inputs(parameters: int, expected: float) -> None:
    """It divides by the savings fraction rounded to 2 decimals (0.07 of 0.074) and takes M from the length of
    the baseline, in months of 30 days; with those the improved formula gives its figure."""
    half = half_width(1.0, MEAN, SSE, N, parameters, RHO, m=365, months=N / 30)
    assert half is not None
    assert half / 0.07 == pytest.approx(expected, rel=1e-9)


@pytest.mark.skipif(not REPORTING.exists(), reason="nmecr's reporting year is not part of the repository")
def test_avoided_use_of_the_reporting_year() -> None:
    with REPORTING.open() as file:
        rows = list(csv.DictReader(file))
    observed = np.array([float(row["eload"]) for row in rows])
    predicted = np.array([float(row["predictions"]) for row in rows])
    found = avoided_use(observed, predicted)
    assert found.valid == 365
    assert found.observed == pytest.approx(5101761.6, rel=1e-9)
    assert found.avoided == pytest.approx(sum(float(row["savings"]) for row in rows), rel=1e-9)
