"""Who is in the building when: local calendar, daylight saving, public holidays, arrivals and lunch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from simulators.noise import Array, Window, smooth, uniform

STAFF = 280
_ATTENDANCE = np.array([0.84, 0.97, 0.88, 0.95, 0.70, 0.035, 0.015])
"""Share of the staff present at most, Monday to Sunday."""


@dataclass(frozen=True, slots=True)
class LocalTime:
    """One row per quarter-hour. hour: 0-24. day: local days since 1970. working: no weekend, no holiday."""

    hour: Array
    day: NDArray[np.int64]
    weekday: NDArray[np.int64]
    working: NDArray[np.bool_]
    holiday: NDArray[np.bool_]


def local_time(window: Window, zone: ZoneInfo) -> LocalTime:
    """The site's wall clock at the start of each quarter-hour; days of 23 and 25 hours come out right."""
    seconds = window.seconds()
    local = seconds + _offsets(seconds, zone)
    day = local // 86_400
    weekday = (day + 3) % 7
    holiday = _is_holiday(day)
    return LocalTime((local % 86_400) / 3600.0, day, weekday, (weekday < 5) & ~holiday, holiday)


def occupied_share(seed: int, window: Window, local: LocalTime) -> Array:
    """Share of the staff in the building, 0-1."""
    attendance = np.where(local.holiday, _ATTENDANCE[6], _ATTENDANCE[local.weekday])
    attendance = attendance * _season(local.day) * (1 + 0.06 * uniform(seed, "attendance", local.day))
    h = local.hour
    shift = 0.15 * uniform(seed, "arrival", local.day)
    presence = _rise(h, 8.75 + shift, 0.38) * (1 - _rise(h, 17.9 + shift, 0.45))
    lunch = 0.38 * np.exp(-(((h - 12.6) / 0.55) ** 2))
    wander = 1 + 0.05 * smooth(seed, "wander", window, 1.5)
    return np.clip(attendance * presence * (1 - lunch) * wander, 0.0, 1.0)


def running(local: LocalTime, opens: float, closes: float) -> Array:
    """Plant schedule of working days, 0-1, with ramps of about half an hour."""
    return np.where(
        local.working, _rise(local.hour, opens, 0.12) * (1 - _rise(local.hour, closes, 0.12)), 0.0
    )


def _rise(hour: Array, at: Array | float, width: float) -> Array:
    rise: Array = 1.0 / (1.0 + np.exp(-np.clip((hour - at) / width, -40.0, 40.0)))
    return rise


def _season(day: NDArray[np.int64]) -> Array:
    """Fewer people in August and between the years."""
    stamp = day.astype("datetime64[D]")
    month = stamp.astype("datetime64[M]").astype(np.int64) % 12 + 1
    of_month = (stamp - stamp.astype("datetime64[M]")).astype(np.int64) + 1
    yule = ((month == 12) & (of_month >= 24)) | ((month == 1) & (of_month == 1))
    return np.select([yule, month == 8, month == 7], [0.35, 0.62, 0.90], 1.0)


def _offsets(seconds: NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.int64]:
    """UTC offset [s] at each time, asking the zone once a day save on the days of a change."""
    offsets = np.empty(len(seconds), np.int64)
    day = seconds // 86_400
    edges = np.flatnonzero(np.diff(day)) + 1
    for rows in np.split(np.arange(len(seconds)), edges):
        if not len(rows):
            continue
        begin = _offset(int(day[rows[0]]) * 86_400, zone)
        end = _offset(int(day[rows[0]]) * 86_400 + 86_400, zone)
        offsets[rows] = begin if begin == end else [_offset(int(s), zone) for s in seconds[rows]]
    return offsets


@lru_cache(maxsize=8192)
def _offset(second: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _is_holiday(day: NDArray[np.int64]) -> NDArray[np.bool_]:
    years = day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    free = [d for year in range(int(years.min()), int(years.max()) + 1) for d in french_holidays(year)]
    return np.isin(day, np.array(free, np.int64))


@lru_cache(maxsize=64)
def french_holidays(year: int) -> tuple[int, ...]:
    """The eleven public holidays of metropolitan France, as days since 1970.

    Easter after the anonymous Gregorian computus (Meeus, Astronomical Algorithms, ch. 8).
    """
    fixed = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
    first = date(1970, 1, 1).toordinal()
    easter = _easter(year).toordinal()
    moving = (easter + 1, easter + 39, easter + 50)
    return tuple(d - first for d in (*(date(year, m, d).toordinal() for m, d in fixed), *moving))


def _easter(year: int) -> date:
    a, b, c = year % 19, year // 100, year % 100
    d, e = b // 4, b % 4
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
