"""The few distributions the KPIs need, without scipy. Pure Python: they are called once per figure."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist


def normal_quantile(p: float) -> float:
    """The standard normal quantile."""
    return NormalDist().inv_cdf(p)


@lru_cache(maxsize=1024)
def student_t_quantile(p: float, df: float) -> float:
    """The t quantile for 0.5 <= p < 1 and df > 0 (not necessarily whole), to about 1e-12.

    Bisection of the distribution function, which is an incomplete beta function. Raises ValueError outside
    the domain.
    """
    if not 0.5 <= p < 1.0 or df <= 0.0:
        raise ValueError(f"t quantile needs 0.5 <= p < 1 and df > 0, not p={p}, df={df}")
    low, high = 0.0, 2.0
    while student_t_cdf(high, df) < p:
        high *= 2.0
    while high - low > 1e-13 * max(1.0, high):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if student_t_cdf(middle, df) < p:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def student_t_cdf(t: float, df: float) -> float:
    """P(T <= t) for t >= 0."""
    return 1.0 - 0.5 * _incomplete_beta(df / 2.0, 0.5, df / (df + t * t))


def two_sided_t(confidence: float, df: float) -> float:
    """The t that leaves (1 - confidence) / 2 in each tail; confidence in 0-1."""
    return student_t_quantile(0.5 + confidence / 2.0, df)


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a proportion, 0-1. Raises ValueError without trials.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.
    """
    if trials <= 0:
        raise ValueError("a proportion needs at least one trial")
    z = normal_quantile(0.5 + confidence / 2.0)
    share = successes / trials
    scale = 1.0 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return centre - half, centre + half


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function by its continued fraction (modified Lentz)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    tiny = 1e-300
    c, d = 1.0, 1.0 / max(1.0 - (a + b) * x / (a + 1.0), tiny)
    fraction = d
    for m in range(1, 400):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + numerator * d, tiny)
            c = _away_from_zero(1.0 + numerator / c, tiny)
            fraction *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return front * fraction / a


def _away_from_zero(x: float, tiny: float) -> float:
    return x if abs(x) > tiny else tiny
