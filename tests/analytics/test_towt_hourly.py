"""The demeaned TOWT fit is the dense least-squares solution, and knows what it has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.baseline.towt import (
    HOURS,
    fit_seasonal,
    fit_towt,
    occupied_hours,
    predict_held_out,
    temperature_features,
    useful_knots,
)


def office(weeks: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hours = np.arange(weeks * HOURS)
    how = hours % HOURS
    t = (
        12
        + 9 * np.sin(hours / HOURS / 52 * 2 * np.pi)
        + 5 * np.sin(hours / 24 * 2 * np.pi)
        + rng.normal(0, 2, len(hours))
    )
    busy = (how < 120) & (how % 24 >= 8) & (how % 24 < 19)
    load = 20 + 60 * busy + np.maximum(15 - t, 0) * (1 + busy) + np.maximum(t - 20, 0) * 2 * busy
    return how, t, load + rng.normal(0, 3, len(hours))


def test_it_equals_dense_weighted_least_squares() -> None:
    how, t, y = office(30)
    w = np.random.default_rng(2).choice([0.5, 1.0], len(y))
    model = fit_towt(how, t, y, w)
    assert model is not None
    knots = useful_knots(t)
    busy = occupied_hours(how, t, y, w)[how][:, None]
    x = temperature_features(t, knots)
    design = np.hstack([np.eye(HOURS)[how], x * busy, x * ~busy])
    beta, *_ = np.linalg.lstsq(design * np.sqrt(w)[:, None], y * np.sqrt(w), rcond=None)
    assert model.predict(how, t) == pytest.approx(design @ beta, abs=1e-6)


def test_an_hour_of_the_week_it_never_saw_is_missing() -> None:
    how, t, y = office(8)
    seen = how != 30
    model = fit_towt(how[seen], t[seen], y[seen])
    assert model is not None
    assert np.isnan(model.predict(np.array([30, 31]), np.array([10.0, 10.0]))).tolist() == [True, False]


def test_thin_temperature_bins_are_merged() -> None:
    t = np.concatenate([np.full(500, 5.0), np.full(500, 20.0), np.full(5, 40.0)])
    knots = useful_knots(t)
    assert np.histogram(t, bins=[-np.inf, *knots, np.inf])[0].min() >= 20


def test_a_constant_temperature_gives_slope_nought() -> None:
    how, _, y = office(4)
    model = fit_towt(how, np.full(len(y), 15.0), y)
    assert model is not None
    assert np.abs(model.slopes).max() < 1e-6


def test_a_month_that_was_not_seen_has_no_model() -> None:
    how, t, y = office(40)
    month = np.minimum(np.arange(len(y)) // 730 + 1, 12)
    model = fit_seasonal(how, month, t, y)
    assert model.months[0] is not None
    assert model.months[11] is None
    assert np.isnan(model.predict(how[:1], t[:1], np.array([12]))).all()


def test_less_than_a_week_fits_nothing() -> None:
    how, t, y = office(1)
    assert fit_towt(how[:100], t[:100], y[:100]) is None


def test_a_month_unlike_its_neighbours_is_met_at_its_own_level() -> None:
    """August at 60 % of the other months: half of its window is July and September, its level is not."""
    hours = np.arange(365 * 24)
    month = hours // 730 % 12 + 1
    how, temperature = hours % 168, 12 + 8 * np.sin(hours / 8760 * 2 * np.pi)
    busy = (how % 24 > 7) & (how % 24 < 19) & (how < 120)
    load = (20 + 60.0 * busy) * np.where(month == 8, 0.6, 1.0)
    model = fit_seasonal(how, month, temperature, load)
    august = month == 8
    found = model.predict(how[august], temperature[august], month[august])
    assert found.sum() == pytest.approx(load[august].sum(), rel=1e-6)


def test_held_out_hours_are_predicted_without_themselves() -> None:
    """A week of nonsense in the odd weeks leaves the prediction of the others to them, not to itself."""
    rng = np.random.default_rng(3)
    hours = np.arange(365 * 24)
    month, fold = hours // 730 % 12 + 1, hours // 168 % 2
    how, temperature = hours % 168, 12 + 8 * np.sin(hours / 8760 * 2 * np.pi) + rng.normal(0, 2, 8760)
    load = 50 + 0.2 * how + rng.normal(0, 5, 8760)
    model = fit_seasonal(how, month, temperature, load)
    unseen = predict_held_out(how, month, fold, temperature, load, model)
    seen = model.predict(how, temperature, month)
    known = ~np.isnan(unseen)
    assert known.mean() > 0.99
    assert np.std((load - unseen)[known]) > 5.0 > np.std((load - seen)[known])
