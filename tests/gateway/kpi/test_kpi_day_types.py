"""Public holidays count as Sundays."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np

from analytics.calendar import to_ns
from gateway.kpi.day_types import EPOCH, hours_as_on_sundays, public_holidays

BERLIN = ZoneInfo("Europe/Berlin")
YEAR = (to_ns(datetime(2026, 1, 1, tzinfo=BERLIN)), to_ns(datetime(2026, 12, 31, tzinfo=BERLIN)))


def days(code: str) -> set[int]:
    return set(public_holidays(code, BERLIN, *YEAR).tolist())


def test_a_country_and_its_region() -> None:
    epiphany, bastille = date(2026, 1, 6).toordinal() - EPOCH, date(2026, 7, 14).toordinal() - EPOCH
    assert bastille in days("FR")
    assert epiphany not in days("DE")
    assert epiphany in days("DE-BY")


def test_an_unknown_country_has_none() -> None:
    assert days("") == set()
    assert days("XX") == set()
    assert days("FR-NOWHERE") == set()


def test_a_free_wednesday_has_a_sundays_hours() -> None:
    hours = np.array([48, 60, 72, 150])
    local_day = np.array([100, 100, 101, 104])
    assert hours_as_on_sundays(hours, local_day, np.array([100])).tolist() == [144, 156, 72, 150]
