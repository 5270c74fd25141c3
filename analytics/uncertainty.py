"""How sure avoided energy use is: fractional savings uncertainty, two-sided.

Sources: ASHRAE Guideline 14-2014 annex B; Sun & Baltazar 2013 (ASHRAE Trans. 119), the improved form with
coefficients as published in CalTRACK 4.3.2.4. Autocorrelated residuals carry less information: n' of them.
"""

from __future__ import annotations

import math

from analytics.statistics import two_sided_t

CONFIDENCE = 0.90


def effective_n(n: float, rho: float) -> float:
    """n' = n (1 - rho) / (1 + rho), rho clamped to 0..0.999: negative autocorrelation earns no credit."""
    r = min(max(rho, 0.0), 0.999)
    return n * (1.0 - r) / (1.0 + r)


def improved_factor(months: float) -> float:
    """a(M) for daily models, M reporting months."""
    return -0.00024 * months * months + 0.03535 * months + 1.00286


def half_width(
    predicted: float,
    mean: float,
    sse: float,
    n: int,
    parameters: float,
    rho: float,
    m: int,
    months: float,
    confidence: float = CONFIDENCE,
) -> float | None:
    """Half the band of avoided use over m reporting days [unit of `predicted`]; None when n' - p < 1.

        dE = Ehat a(M) t(n' - p) [sqrt(SSE / (n' - p)) / ybar] sqrt((1 + 2 / n') / m)

    predicted: Ehat, sum of the m predicted days. mean, sse, n, parameters, rho: of the baseline's daily
    residuals (for an hourly model: residuals summed to days, parameters = p_hourly / 24). months: M.
    """
    effective = effective_n(n, rho)
    free = effective - parameters
    if free < 1.0 or m <= 0 or mean <= 0.0:
        return None
    t = two_sided_t(confidence, free)
    cv = math.sqrt(sse / free) / mean
    return abs(predicted) * improved_factor(months) * t * cv * math.sqrt((1.0 + 2.0 / effective) / m)


def guideline14_half_width(
    predicted: float,
    cv: float,
    n: int,
    parameters: float,
    rho: float,
    m: int,
    confidence: float = CONFIDENCE,
) -> float | None:
    """ASHRAE Guideline 14: dE = Ehat 1.26 t(n - p) CV sqrt((n / n')(1 + 2 / n') / m); None when n - p < 1."""
    free = n - parameters
    if free < 1.0 or m <= 0:
        return None
    effective = effective_n(n, rho)
    t = two_sided_t(confidence, free)
    return abs(predicted) * 1.26 * t * cv * math.sqrt((n / effective) * (1.0 + 2.0 / effective) / m)
