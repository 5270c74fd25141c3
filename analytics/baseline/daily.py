"""The CalTRACK 2.0 daily model: use per day = mu + bH * HDD + bC * CDD.

HDD = max(balance_h - T, 0), CDD = max(T - balance_c, 0), T the day's mean temperature. Every pair of balance
points of a grid is fitted by ordinary least squares; a candidate qualifies when all its coefficients are
positive, each degree-day column has enough days, and balance_c >= balance_h; the highest adjusted R2 wins,
the mean alone counting 0.

The two supports never overlap, so HDD * CDD = 0 and the normal equations have a closed form: with the days
sorted by temperature every moment is a difference of prefix sums and each candidate costs O(1).
Source: CalTRACK 2.0 methods 3.2-3.4. Temperatures may be in any unit; the slopes are per degree of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.kernel import kernel
from analytics.metrics import lag1_autocorrelation

Floats = NDArray[np.float64]

GRID_F = np.arange(30.0, 91.0)
"""CalTRACK's balance points [degF], step 1."""

GRID_C = np.arange(-1.0, 32.25, 0.5)
"""The same range in degC, step 0.5 K (CalTRACK allows up to 3 degF)."""

MIN_DAYS = 10
MIN_DEGREE_DAYS_F = 20.0
MIN_DEGREE_DAYS_C = 20.0 / 1.8


@dataclass(frozen=True, slots=True)
class DailyModel:
    """A fitted daily model. mu [kWh/day]; beta_* [kWh/day per degree], 0 with balance NaN where absent.

    n: days fitted. parameters: coefficients including the mean (balance points are not counted, as CalTRACK
    does). sse: sum of squared residuals. mean: of the observed days. rho: lag-1 autocorrelation of the
    residuals. t_low, t_high: temperatures seen. candidates, qualified: of the grid.
    """

    mu: float
    beta_h: float
    beta_c: float
    balance_h: float
    balance_c: float
    n: int
    parameters: int
    sse: float
    mean: float
    r2_adjusted: float
    rho: float
    t_low: float
    t_high: float
    candidates: int
    qualified: int

    def predict(self, temperature: Floats) -> Floats:
        """Use per day [kWh], shape as given; NaN where the temperature is missing."""
        use = np.where(np.isnan(temperature), np.nan, self.mu)
        if self.beta_h > 0:
            use = use + self.beta_h * np.maximum(self.balance_h - temperature, 0.0)
        if self.beta_c > 0:
            use = use + self.beta_c * np.maximum(temperature - self.balance_c, 0.0)
        return np.asarray(use, np.float64)

    @property
    def cv_rmse(self) -> float:
        """sqrt(SSE / (n - p)) / mean, a fraction."""
        return self._cv(self.parameters)

    @property
    def cv_rmse_caltrack(self) -> float:
        """CalTRACK 4.3.2.2: n - c, the intercept not counted."""
        return self._cv(self.parameters - 1)

    def _cv(self, subtract: int) -> float:
        free = self.n - subtract
        return float(np.sqrt(self.sse / free) / self.mean) if free > 0 and self.mean > 0 else float("nan")

    @property
    def model_id(self) -> str:
        shape = {(False, False): "mean", (True, False): "hdd", (False, True): "cdd", (True, True): "hdd-cdd"}
        return f"caltrack-daily:{shape[self.beta_h > 0, self.beta_c > 0]}"


def fit_daily(
    use: Floats,
    temperature: Floats,
    grid: Floats = GRID_C,
    min_degree_days: float = MIN_DEGREE_DAYS_C,
    cooling: bool = True,
) -> DailyModel | None:
    """Fit the daily model; None with fewer than 3 days.

    use: energy per day [kWh], shape (n,), in the order of the days; temperature: the days' means, shape
    (n,); days with NaN in either are left out. grid: ascending balance points in the temperature's unit.
    cooling: False for fuels (CDD is for electricity only).
    """
    valid = ~(np.isnan(use) | np.isnan(temperature))
    y, t = use[valid], temperature[valid]
    if len(y) < 3:
        return None
    order = np.argsort(t, kind="stable")
    h, c, qualified, candidates = _search(t[order], y[order], grid, min_degree_days, cooling)
    mu, beta_h, beta_c, sse = _solve(y, t, grid, h, c)
    parameters = 1 + (h >= 0) + (c >= 0)
    total = float(np.sum((y - y.mean()) ** 2))
    r2 = 1.0 - sse / total if total > 0 else 0.0
    model = DailyModel(
        mu=mu,
        beta_h=beta_h,
        beta_c=beta_c,
        balance_h=float(grid[h]) if h >= 0 else float("nan"),
        balance_c=float(grid[c]) if c >= 0 else float("nan"),
        n=len(y),
        parameters=parameters,
        sse=sse,
        mean=float(y.mean()),
        r2_adjusted=1.0 - (1.0 - r2) * (len(y) - 1) / (len(y) - parameters) if parameters > 1 else 0.0,
        rho=0.0,
        t_low=float(t.min()),
        t_high=float(t.max()),
        candidates=candidates,
        qualified=qualified,
    )
    return _with_rho(model, use - model.predict(temperature))


def _with_rho(model: DailyModel, residuals: Floats) -> DailyModel:
    values = {name: getattr(model, name) for name in model.__slots__}
    return DailyModel(**{**values, "rho": lag1_autocorrelation(residuals)})


def _solve(y: Floats, t: Floats, grid: Floats, h: int, c: int) -> tuple[float, float, float, float]:
    """Least squares of the chosen candidate on its residuals' own terms: the digits the grid's sums lost."""
    columns = [np.ones_like(y)]
    if h >= 0:
        columns.append(np.maximum(grid[h] - t, 0.0))
    if c >= 0:
        columns.append(np.maximum(t - grid[c], 0.0))
    design = np.column_stack(columns)
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    sse = float(np.sum((y - design @ coefficients) ** 2))
    rest = iter(coefficients[1:].tolist())
    return float(coefficients[0]), next(rest) if h >= 0 else 0.0, next(rest) if c >= 0 else 0.0, sse


@kernel
def _search(
    t: Floats, y: Floats, grid: Floats, min_degree_days: float, cooling: bool
) -> tuple[int, int, int, int]:
    """Indices into the grid of the best HDD and CDD balance points (-1 = absent), qualified, candidates.

    t: ascending. Temperatures and use are centred first, which keeps the prefix sums' differences exact.
    """
    s1, s2, sy, usable = _moments(t - t.mean(), y - y.mean(), grid - t.mean(), min_degree_days)
    if not cooling:
        usable[1] = False
    return _choose(s1, s2, sy, usable, len(t), np.sum((y - y.mean()) ** 2), y.mean(), cooling)


@kernel
def _moments(
    t: Floats, y: Floats, grid: Floats, min_degree_days: float
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Of each HDD column (row 0) and CDD column (row 1): sum, sum of squares, product with y, enough days."""
    n, g = len(t), len(grid)
    pt, ptt, py, pty = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1)
    for i in range(n):
        pt[i + 1], ptt[i + 1] = pt[i] + t[i], ptt[i] + t[i] * t[i]
        py[i + 1], pty[i + 1] = py[i] + y[i], pty[i] + t[i] * y[i]
    s1, s2, sy = np.zeros((2, g)), np.zeros((2, g)), np.zeros((2, g))
    usable = np.zeros((2, g), np.bool_)
    for k in range(g):
        b = grid[k]
        below = np.searchsorted(t, b)
        above = np.searchsorted(t, b, side="right")
        s1[0, k] = below * b - pt[below]
        s2[0, k] = below * b * b - 2.0 * b * pt[below] + ptt[below]
        sy[0, k] = b * py[below] - pty[below]
        usable[0, k] = below >= MIN_DAYS and s1[0, k] >= min_degree_days
        m, st, stt = n - above, pt[n] - pt[above], ptt[n] - ptt[above]
        s1[1, k] = st - m * b
        s2[1, k] = stt - 2.0 * b * st + m * b * b
        sy[1, k] = (pty[n] - pty[above]) - b * (py[n] - py[above])
        usable[1, k] = m >= MIN_DAYS and s1[1, k] >= min_degree_days
    return s1, s2, sy, usable


@kernel
def _choose(
    s1: Floats,
    s2: Floats,
    sy: Floats,
    usable: NDArray[np.bool_],
    n: int,
    syy: float,
    y_mean: float,
    cooling: bool,
) -> tuple[int, int, int, int]:
    """Walk all pairs (index -1: that column is absent); y is centred, y_mean its mean."""
    g = s1.shape[1]
    best, best_h, best_c, qualified, candidates = 0.0, -1, -1, 1, 1
    for h in range(-1, g):
        for c in range(-1, g):
            if (h < 0 and c < 0) or (c >= 0 and (not cooling or c < h)):
                continue
            candidates += 1
            if (h >= 0 and not usable[0, h]) or (c >= 0 and not usable[1, c]):
                continue
            mu, bh, bc = _coefficients(s1, s2, sy, h, c, n)
            if not (mu + y_mean > 0.0 and bh > 0.0 and bc > 0.0):
                continue
            qualified += 1
            explained = (bh * sy[0, h] if h >= 0 else 0.0) + (bc * sy[1, c] if c >= 0 else 0.0)
            p = 1 + (h >= 0) + (c >= 0)
            adjusted = 1.0 - (1.0 - explained / syy) * (n - 1) / (n - p) if syy > 0.0 and n > p else 0.0
            if adjusted > best:
                best, best_h, best_c = adjusted, h, c
    return best_h, best_c, qualified, candidates


@kernel
def _coefficients(s1: Floats, s2: Floats, sy: Floats, h: int, c: int, n: int) -> tuple[float, float, float]:
    """The closed form of one candidate: mu (of centred y), bH, bC; an absent slope is 1, NaN if singular."""
    numerator, denominator = 0.0, float(n)
    if h >= 0:
        numerator -= s1[0, h] * sy[0, h] / s2[0, h]
        denominator -= s1[0, h] * s1[0, h] / s2[0, h]
    if c >= 0:
        numerator -= s1[1, c] * sy[1, c] / s2[1, c]
        denominator -= s1[1, c] * s1[1, c] / s2[1, c]
    if denominator <= 1e-9 * n:
        return np.nan, np.nan, np.nan
    mu = numerator / denominator
    bh = (sy[0, h] - s1[0, h] * mu) / s2[0, h] if h >= 0 else 1.0
    bc = (sy[1, c] - s1[1, c] * mu) / s2[1, c] if c >= 0 else 1.0
    return mu, bh, bc
