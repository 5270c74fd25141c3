"""Hourly models are kept from one refresh to the next, and fitted again when their baseline changes."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from analytics.calendar import DAY, Cadence, edges
from analytics.intervals import Columns, roll_up
from gateway.kpi.figures import Settings
from gateway.kpi.history import HOUR, IMPORT, QUARTER, TEMPERATURE, History, RoleHistory
from gateway.kpi.models import Fits, Models

UTC = ZoneInfo("UTC")
START = 19_700 * DAY
YEAR = 366 * DAY


def models(fits: Fits, factor: float = 1.0) -> Models:
    """Models of a year of a load that follows the hour of the day, times a factor in one of its weeks."""
    n = YEAR // QUARTER
    quarter_edges = START + QUARTER * np.arange(n + 1, dtype=np.int64)
    hour = np.arange(n) // 4 % 24
    load = 10.0 + hour + np.where(np.arange(n) // 672 == 20, factor - 1.0, 0.0)
    warm = 12 + 8 * np.sin(np.arange(n) / n * 2 * np.pi) + np.sin(hour / 4)
    hours = START + HOUR * np.arange(YEAR // HOUR + 1, dtype=np.int64)
    days = edges(UTC, Cadence.DAILY, START, START + YEAR)
    nothing, full, flags = np.full(n, np.nan), np.full(n, 100.0), np.zeros(n, np.uint16)
    roles = {}
    for name, kind, mean, delta in (
        (IMPORT, "counter", nothing, load),
        (TEMPERATURE, "gauge", warm, nothing),
    ):
        fine = Columns(quarter_edges[:-1], mean, nothing, nothing, delta, np.ones(n), full, flags)
        coarse = (roll_up(fine, QUARTER, hours), roll_up(fine, QUARTER, days))
        roles[name] = RoleHistory(kind, "", fine, *coarse)
    history = History(UTC, START, START + YEAR, hours, days, roles)
    settings = Settings(None, START, START + YEAR, START + YEAR, "a year", {}, {})
    return Models(history, settings, fits)


def test_the_same_baseline_is_fitted_once() -> None:
    fits: Fits = {}
    first, second = models(fits).consumption_hourly, models(fits).consumption_hourly
    assert first is not None
    assert second is not None
    assert second.model is first.model
    assert second.sse_days == first.sse_days


def test_a_changed_baseline_is_fitted_again() -> None:
    fits: Fits = {}
    before, after = models(fits).consumption_hourly, models(fits, factor=5.0).consumption_hourly
    alone = models({}, factor=5.0).consumption_hourly
    assert before is not None
    assert after is not None
    assert alone is not None
    assert after.model is not before.model
    assert after.sse_days == pytest.approx(alone.sse_days)
    assert after.sse_days > before.sse_days
