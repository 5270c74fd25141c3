"""What a figure means against its target: attainment, status, claim, evidence. No numba: pages import it."""

from __future__ import annotations

import math

NEAR = 0.9
EXCEEDING = 1.1
MIN_COMPLETENESS = 90.0
"""Below this completeness [%] a period gets no pass or fail."""

NMEC_CV, NMEC_NMBE, NMEC_FSU = 0.25, 0.005, 0.50
GL14_MONTHLY_CV, GL14_MONTHLY_NMBE = 0.15, 0.05
GL14_HOURLY_CV, GL14_HOURLY_NMBE = 0.30, 0.10


def attainment(value: float, target: float, lower_is_better: bool = False) -> float | None:
    """v / target, or target / v where lower is better; None where the ratio has no meaning."""
    numerator, denominator = (target, value) if lower_is_better else (value, target)
    if not (math.isfinite(value) and math.isfinite(target)) or denominator <= 0:
        return None
    return numerator / denominator


def status(attained: float | None, sustained: bool = False) -> str:
    """'on_track' from 1, 'near' from 0.9, else 'below'; 'exceeding' from 1.1 when sustained; 'undefined'.

    sustained: the periods before it reached 1.1 too, so that one lucky month does not shine.
    """
    if attained is None:
        return "undefined"
    if attained >= EXCEEDING and sustained:
        return "exceeding"
    if attained >= 1.0:
        return "on_track"
    return "near" if attained >= NEAR else "below"


def claim(value: float, lower: float | None, upper: float | None, target: float) -> str:
    """'met' if the band's lower end passes the target, 'likely' if the point does, else 'not_shown'.

    A band that spans 0, or no band at all, shows nothing beyond 'likely'.
    """
    if lower is not None and lower > target:
        return "met"
    spans_zero = lower is not None and upper is not None and lower <= 0.0 <= upper
    return "likely" if value > target and not spans_zero else "not_shown"


def evidence(cv: float, nmbe: float, fsu: float | None, hourly: bool = False) -> str:
    """How far a baseline model may be trusted: 'verified', 'indicative' or 'rejected'.

    cv, nmbe: fractions, of the baseline fit. fsu: half band over avoided use, None without one. Verified:
    CPUC NMEC limits, CV < 25 %, NMBE within 0.5 %, FSU < 50 %. Indicative: ASHRAE Guideline 14 calibration,
    hourly data 30 / 10 %; a daily model is held to the hourly CV limit and the monthly NMBE limit.
    """
    if not (math.isfinite(cv) and math.isfinite(nmbe)):
        return "rejected"
    if cv < NMEC_CV and abs(nmbe) <= NMEC_NMBE and fsu is not None and abs(fsu) < NMEC_FSU:
        return "verified"
    limit = GL14_HOURLY_NMBE if hourly else GL14_MONTHLY_NMBE
    return "indicative" if cv <= GL14_HOURLY_CV and abs(nmbe) <= limit else "rejected"
