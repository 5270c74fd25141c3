"""Local days, weeks and months as UTC instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.calendar import (
    HOUR,
    Cadence,
    day_start,
    edges,
    expected_count,
    hour_of_week,
    last_complete,
    local_month,
    period_start,
    to_ns,
    utc_offsets,
)

PARIS = ZoneInfo("Europe/Paris")
ZONES = st.sampled_from(["Europe/Paris", "America/Chicago", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)).map(lambda d: to_ns(d.replace(tzinfo=UTC)))  # noqa: DTZ001


@pytest.mark.parametrize(("day", "quarters"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_a_day_of_clock_change_has_fewer_or_more_quarter_hours(day: date, quarters: int) -> None:
    start, end = day_start(PARIS, day), day_start(PARIS, day + timedelta(days=1))
    assert expected_count(start, end, 900) == quarters


def test_october_2026_has_745_hours_in_paris() -> None:
    start, end = edges(
        PARIS, Cadence.MONTHLY, day_start(PARIS, date(2026, 10, 5)), day_start(PARIS, date(2026, 10, 6))
    )
    assert expected_count(int(start), int(end), 3600) == 745


def test_weeks_begin_on_monday() -> None:
    found = period_start(PARIS, Cadence.WEEKLY, day_start(PARIS, date(2026, 11, 22)))
    assert found == day_start(PARIS, date(2026, 11, 16))


def test_a_day_whose_midnight_is_skipped_begins_at_the_change() -> None:
    """Beirut springs forward at 00:00: 2025-03-30 begins at 01:00 local, 22:00 UTC."""
    start = day_start(ZoneInfo("Asia/Beirut"), date(2025, 3, 30))
    assert start == to_ns(datetime(2025, 3, 29, 22, tzinfo=UTC))


def test_the_last_complete_months_end_where_the_current_one_begins() -> None:
    now = to_ns(datetime(2026, 11, 22, 12, tzinfo=UTC))
    found = last_complete(PARIS, Cadence.MONTHLY, now, 12)
    assert len(found) == 14
    assert found[0] == day_start(PARIS, date(2025, 11, 1))
    assert found[-2] == day_start(PARIS, date(2026, 11, 1))


@given(ZONES, MOMENTS, st.sampled_from(list(Cadence)))
def test_every_instant_lies_in_its_own_period(zone: str, at: int, cadence: Cadence) -> None:
    start = period_start(ZoneInfo(zone), cadence, at)
    first, after = edges(ZoneInfo(zone), cadence, at, at + 1).tolist()
    assert first == start <= at < after


@given(ZONES, MOMENTS)
def test_vectorised_offsets_are_those_of_the_zone(zone: str, at: int) -> None:
    instants = at + np.arange(-400, 400, 13, dtype=np.int64) * 24 * HOUR
    expected = []
    for instant in instants.tolist():
        offset = datetime.fromtimestamp(instant // 10**9, ZoneInfo(zone)).utcoffset()
        assert offset is not None
        expected.append(round(offset.total_seconds() * 1e9))
    assert utc_offsets(ZoneInfo(zone), instants).tolist() == expected


def test_hour_of_week_and_month_follow_the_sites_clock() -> None:
    sunday_night = np.array([to_ns(datetime(2026, 5, 31, 22, 30, tzinfo=UTC))])
    assert hour_of_week(PARIS, sunday_night).tolist() == [0]
    assert local_month(PARIS, sunday_night).tolist() == [6]
