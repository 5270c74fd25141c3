"""How long a year's hourly baseline takes to fit, warm, with its uncertainty.

The load is that of an office: hours of the week, heating and cooling by temperature, noise that remembers
the hour before. `ms_warm` is one TOWT model over the year, its prediction and the band of a month's saving;
the same with twelve three-month windows, as the KPIs use it, is `ms_seasonal`. The reference solves the
same year as textbooks write it: dense least squares on 168 hour-of-week columns and the temperature bins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.baseline.towt import HOURS, TowtModel, fit_seasonal, fit_towt, temperature_features
from analytics.metrics import lag1_autocorrelation
from analytics.uncertainty import half_width
from benchmarks.harness import Figure, Options, interleave, ratios, wall_turn

LIBRARIES = ("numpy", "numba")
YEAR_H = 8760
REPORTING_DAYS = 30
SAME = 1e-6
"""How closely ours must predict what the dense solution predicts, of the mean load."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Year:
    """A year of hours, shape (8760,): hour of the week, month 1-12, temperature [degC], load [kWh]."""

    hour_of_week: Ints
    month: Ints
    temperature: Floats
    load: Floats


def run(options: Options) -> dict[str, Figure]:
    """Milliseconds of a warm fit, and how it compares with dense least squares that says the same."""
    year = make_year()
    rounds, repeats = options.choose(9, 1), options.choose(20, 1)
    model = fit(year)
    difference = _difference(year, model)
    if difference > SAME:
        raise RuntimeError(f"ours and the dense solution differ by {difference:g} of the mean load")
    medians = interleave(
        {
            "ours": wall_turn(lambda: _repeated(lambda: whole_year(year), repeats)),
            "seasonal": wall_turn(lambda: _repeated(lambda: seasonal(year), max(1, repeats // 4))),
            "dense_lstsq": wall_turn(lambda: _repeated(lambda: dense(year, model), 1)),
        },
        rounds,
    )
    by_season = medians.pop("seasonal")
    return {
        "ms_warm": round(1000 * medians["ours"], 3),
        "ms_seasonal": round(1000 * by_season, 3),
        "ms_dense_lstsq": round(1000 * medians["dense_lstsq"], 3),
        "hours": YEAR_H,
        "largest_difference": difference,
        "ratios": ratios(medians),
    }


def _repeated(work: Callable[[], object], times: int) -> float:
    for _ in range(times):
        work()
    return float(times)


def fit(year: Year) -> TowtModel:
    """One TOWT model over the year."""
    model = fit_towt(year.hour_of_week, year.temperature, year.load)
    assert model is not None
    return model


def whole_year(year: Year) -> float | None:
    """One model over the year and the band of a month's saving [kWh]."""
    model = fit(year)
    return band(year.load, model.predict(year.hour_of_week, year.temperature), model.parameters)


def seasonal(year: Year) -> float | None:
    """Twelve windows and the band of a month's saving [kWh], as energy KPIs do it."""
    model = fit_seasonal(year.hour_of_week, year.month, year.temperature, year.load)
    predicted = model.predict(year.hour_of_week, year.temperature, year.month)
    return band(year.load, predicted, model.parameters)


def dense(year: Year, model: TowtModel) -> float | None:
    """The textbook form of `model`, whose bins and occupied hours it is given, with the same band."""
    predicted, rank = _solve_dense(design(year, model), year.load)
    return band(year.load, predicted, rank)


def design(year: Year, model: TowtModel) -> Floats:
    """168 hour-of-week columns, then the temperature bins of unoccupied and of occupied hours."""
    hours = np.zeros((YEAR_H, HOURS))
    hours[np.arange(YEAR_H), year.hour_of_week] = 1.0
    features = temperature_features(year.temperature, model.knots)
    busy = model.occupied[year.hour_of_week][:, None]
    return np.concatenate([hours, features * ~busy, features * busy], axis=1)


def _solve_dense(columns: Floats, load: Floats) -> tuple[Floats, int]:
    coefficients, _, rank, _ = np.linalg.lstsq(columns, load, rcond=None)
    return columns @ coefficients, int(rank)


def band(load: Floats, predicted: Floats, parameters: int) -> float | None:
    """Half the 90 % band of 30 predicted days, from the residuals summed to days."""
    days = (load - predicted).reshape(-1, 24).sum(axis=1)
    daily = load.reshape(-1, 24).sum(axis=1)
    return half_width(
        float(predicted[: REPORTING_DAYS * 24].sum()),
        float(daily.mean()),
        float(days @ days),
        len(days),
        parameters / 24.0,
        lag1_autocorrelation(days),
        REPORTING_DAYS,
        REPORTING_DAYS / 30.4375,
    )


def _difference(year: Year, model: TowtModel) -> float:
    """The largest difference between the two predictions, as a share of the mean load."""
    ours = model.predict(year.hour_of_week, year.temperature)
    theirs, _ = _solve_dense(design(year, model), year.load)
    return float(np.abs(ours - theirs).max() / year.load.mean())


def make_year(seed: int = 5) -> Year:
    """An office in a temperate climate: working hours, heating below 15 degC, cooling above 20 degC."""
    rng = np.random.default_rng(seed)
    hour = np.arange(YEAR_H, dtype=np.int64)
    of_week, day = hour % HOURS, hour // 24
    season = -np.cos(2 * np.pi * (day - 15) / 365.0)
    daily = np.sin(2 * np.pi * (hour % 24 - 9) / 24.0)
    temperature = 11.5 + 9.0 * season + 4.0 * daily + _remembering(rng, 0.97, 0.7)
    working = (of_week // 24 < 5) & (of_week % 24 >= 7) & (of_week % 24 < 19)
    heating, cooling = np.maximum(15.0 - temperature, 0.0), np.maximum(temperature - 20.0, 0.0)
    load = 40.0 + 90.0 * working + (1.0 + 1.5 * working) * heating + (0.5 + 4.0 * working) * cooling
    load = load + _remembering(rng, 0.6, 4.0)
    return Year(of_week, 1 + np.minimum(day // 31, 11), temperature, load)


def _remembering(rng: np.random.Generator, memory: float, scale: float) -> Floats:
    """Noise in which each hour remembers the one before."""
    noise = rng.normal(0.0, scale, YEAR_H)
    for at in range(1, YEAR_H):
        noise[at] += memory * noise[at - 1]
    return noise
