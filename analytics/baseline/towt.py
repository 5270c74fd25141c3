"""Time of week and temperature: an hourly model of a building's load.

Load = alpha[hour of week] + a piecewise linear function of outdoor temperature, with separate slopes for
occupied and unoccupied hours of the week. Sources: Mathieu et al. 2011 (IEEE Trans. Smart Grid 2:507);
LBNL-3713E; CalTRACK 2.0 methods 3.7-3.11 (temperature bins, occupancy by the residuals of a degree-hour fit,
three-month windows weighted 0.5 / 1 / 0.5).

The 168 hour-of-week effects are removed by weighted demeaning inside each hour-of-week, which leaves at most
7 temperature columns per state: the same solution as dense least squares on 175 columns, fifty times faster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOURS = 168

KNOTS_C = (np.array([30.0, 45.0, 55.0, 65.0, 75.0, 90.0]) - 32.0) / 1.8
"""CalTRACK's bin edges, in degC."""

MIN_BIN_HOURS = 20
"""A temperature bin with fewer hours is merged into its neighbour (CalTRACK 3.9.2)."""

OCCUPIED_SHARE = 0.65
"""An hour of the week is occupied when more than this share of its residuals is positive."""

HEATING_BELOW_C, COOLING_ABOVE_C = 10.0, (65.0 - 32.0) / 1.8
_RIDGE = 1e-10


@dataclass(frozen=True, slots=True)
class TowtModel:
    """A fitted model of one window.

    alpha: effect of each hour of the week [unit of the load], NaN where the window never saw it. knots
    [degC]. slopes: shape (2, k), unoccupied and occupied, per K. occupied: shape (168,). n: hours used,
    parameters: coefficients estimated.
    """

    alpha: Floats
    knots: Floats
    slopes: Floats
    occupied: Bools
    n: int
    parameters: int

    def predict(self, hour_of_week: Ints, temperature: Floats) -> Floats:
        """Load in each hour, shape (m,); NaN for an unseen hour of the week or a missing temperature."""
        features = temperature_features(temperature, self.knots)
        state = self.occupied[hour_of_week].astype(np.int64)
        return np.asarray(
            self.alpha[hour_of_week] + np.einsum("ij,ij->i", features, self.slopes[state]), np.float64
        )


@dataclass(frozen=True, slots=True)
class SeasonalTowt:
    """Twelve models, one for each calendar month's three-month window; None where the month was not seen."""

    months: tuple[TowtModel | None, ...]

    def predict(self, hour_of_week: Ints, temperature: Floats, month: Ints) -> Floats:
        """Load in each hour by its month's model; month 1-12, shape (m,)."""
        out = np.full(len(temperature), np.nan)
        for index, model in enumerate(self.months):
            here = month == index + 1
            if model is not None and here.any():
                out[here] = model.predict(hour_of_week[here], temperature[here])
        return out

    @property
    def parameters(self) -> int:
        """Coefficients of the typical month's model: each day is predicted by one of them."""
        known = [model.parameters for model in self.months if model is not None]
        return int(np.median(known)) if known else 0


def temperature_features(temperature: Floats, knots: Floats) -> Floats:
    """Piecewise linear columns min(T, B1), clip(T - B(k-1), 0, Bk - B(k-1)), ..., max(T - BN, 0)."""
    if len(knots) == 0:
        return temperature[:, None].copy()
    widths = np.diff(knots)
    inner = np.clip(temperature[:, None] - knots[None, :-1], 0.0, widths[None, :])
    below = np.minimum(temperature, knots[0])[:, None]
    above = np.maximum(temperature - knots[-1], 0.0)[:, None]
    return np.concatenate([below, inner, above], axis=1)


def useful_knots(temperature: Floats, knots: Floats = KNOTS_C, minimum: int = MIN_BIN_HOURS) -> Floats:
    """Drop bin edges until every bin has at least `minimum` hours."""
    kept = list(knots)
    while kept:
        counts = np.histogram(temperature, bins=[-np.inf, *kept, np.inf])[0]
        thin = int(np.argmin(counts))
        if counts[thin] >= minimum:
            break
        kept.pop(min(thin, len(kept) - 1))
    return np.array(kept, np.float64)


def occupied_hours(hour_of_week: Ints, temperature: Floats, load: Floats, weight: Floats) -> Bools:
    """Hours of the week with over 65 % positive residuals of a degree-hour fit: shape (168,)."""
    design = np.column_stack(
        [
            np.ones_like(load),
            np.maximum(HEATING_BELOW_C - temperature, 0.0),
            np.maximum(temperature - COOLING_ABOVE_C, 0.0),
        ]
    )
    root = np.sqrt(weight)
    coefficients, *_ = np.linalg.lstsq(design * root[:, None], load * root, rcond=None)
    positive = (load - design @ coefficients > 0).astype(np.float64)
    seen = np.bincount(hour_of_week, weight, HOURS)
    share = np.bincount(hour_of_week, weight * positive, HOURS) / np.maximum(seen, 1e-12)
    return np.asarray((share > OCCUPIED_SHARE) & (seen > 0), np.bool_)


def fit_towt(
    hour_of_week: Ints, temperature: Floats, load: Floats, weight: Floats | None = None
) -> TowtModel | None:
    """Fit one window; hours with a missing load or temperature, or no weight, are left out.

    All shape (n,): hour_of_week 0-167, temperature [degC], load (any unit), weight >= 0. None when fewer than
    one week of hours remains. A column that never varies inside its hours of the week gets slope 0 (ridge).
    """
    w = np.ones_like(load) if weight is None else weight
    use = ~(np.isnan(load) | np.isnan(temperature)) & (w > 0)
    if int(use.sum()) < HOURS:
        return None
    how, t, y, w = hour_of_week[use], temperature[use], load[use], w[use]
    knots = useful_knots(t)
    x = temperature_features(t, knots)
    occupied = occupied_hours(how, t, y, w)
    seen = np.bincount(how, w, HOURS)
    safe = np.maximum(seen, 1e-12)
    y_mean = np.bincount(how, w * y, HOURS) / safe
    x_mean = np.column_stack([np.bincount(how, w * x[:, k], HOURS) / safe for k in range(x.shape[1])])
    slopes = np.zeros((2, x.shape[1]))
    busy = occupied[how]
    for state in (0, 1):
        rows = busy == bool(state)
        slopes[state] = _solve(x[rows] - x_mean[how[rows]], y[rows] - y_mean[how[rows]], w[rows])
    alpha = y_mean - np.einsum("ij,ij->i", x_mean, slopes[occupied.astype(np.int64)])
    alpha[seen <= 0] = np.nan
    states = len(np.unique(busy))
    parameters = int((seen > 0).sum()) + x.shape[1] * states
    return TowtModel(alpha, knots, slopes, occupied, len(y), parameters)


def fit_seasonal(
    hour_of_week: Ints, month: Ints, temperature: Floats, load: Floats, minimum_hours: int = 500
) -> SeasonalTowt:
    """One model for each calendar month, from it (weight 1) and its neighbours (weight 0.5).

    month: local calendar month 1-12 of each hour. A month with fewer than `minimum_hours` valid hours of its
    own has no model: nothing is extrapolated to a season that was not seen.
    """
    valid = ~(np.isnan(load) | np.isnan(temperature))
    models: list[TowtModel | None] = []
    for wanted in range(1, 13):
        own = int((valid & (month == wanted)).sum())
        everything = np.ones(len(load), np.bool_)
        models.append(
            _fit_month(wanted, everything, hour_of_week, month, temperature, load)
            if own >= minimum_hours
            else None
        )
    return SeasonalTowt(tuple(models))


def predict_held_out(
    hour_of_week: Ints, month: Ints, fold: Ints, temperature: Floats, load: Floats, model: SeasonalTowt
) -> Floats:
    """Each hour predicted by its month's model fitted again without the hour's fold of that month.

    fold: any label, a few for each month (its odd and even weeks). Returns shape (n,). The residuals show
    what the model misses on days it has not seen: twelve windows of 168 effects each fit their own days too
    well for the residuals of the fit to tell. NaN where the month has no model or the rest of its window is
    too short for one.
    """
    out = np.full(len(load), np.nan)
    for wanted, fitted in enumerate(model.months, 1):
        if fitted is None:
            continue
        for label in np.unique(fold[month == wanted]):
            held = (month == wanted) & (fold == label)
            again = _fit_month(wanted, ~held, hour_of_week, month, temperature, load)
            if again is not None:
                out[held] = again.predict(hour_of_week[held], temperature[held])
    return out


def _fit_month(
    wanted: int, rows: Bools, hour_of_week: Ints, month: Ints, temperature: Floats, load: Floats
) -> TowtModel | None:
    """One month's model: its window's, moved to the month's own level, occupied and unoccupied apart.

    The window of CalTRACK gives the shape enough hours, but half of what it sees is other months: where a
    month is unlike both neighbours (August in an office) its level would be theirs in part, every year anew.
    """
    weight = _window_weight(month, wanted)
    window = rows & (weight > 0)
    model = fit_towt(hour_of_week[window], temperature[window], load[window], weight[window])
    own = rows & (month == wanted)
    if model is None:
        return None
    missed = load[own] - model.predict(hour_of_week[own], temperature[own])
    busy = model.occupied[hour_of_week[own]]
    level = [_mean_known(missed[busy == state]) for state in (False, True)]
    alpha = model.alpha + np.where(model.occupied, level[1], level[0])
    return replace(model, alpha=alpha, parameters=model.parameters + 2)


def _mean_known(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _window_weight(month: Ints, wanted: int) -> Floats:
    """1 in the wanted month, 0.5 in its neighbours, else 0."""
    distance = (month - wanted) % 12
    return np.where(distance == 0, 1.0, np.where((distance == 1) | (distance == 11), 0.5, 0.0))


def _solve(x: Floats, y: Floats, w: Floats) -> Floats:
    """Weighted normal equations of at most 7 columns; a tiny relative ridge keeps constant ones at 0."""
    if len(y) == 0:
        return np.zeros(x.shape[1])
    gram = x.T @ (x * w[:, None])
    scale = max(float(np.trace(gram)), 1e-30) * _RIDGE
    return np.asarray(np.linalg.solve(gram + scale * np.eye(len(gram)), x.T @ (w * y)), np.float64)
