"""Local days, weeks and months as UTC instants. numpy only: the gateway process may import it.

Everything is UTC nanoseconds (int64); a period is named by its start and ends where the next one begins.
Local days have 23, 24 or 25 hours: Paris 2026-03-29 has 92 quarter-hours, 2026-10-25 has 100. Weeks are ISO
weeks.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Instants = NDArray[np.int64]

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Cadence(StrEnum):
    """How often a figure is made, and so the period it covers."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


def to_ns(moment: datetime) -> int:
    """UTC ns of an aware datetime, exact to the microsecond."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1000


def to_local(zone: ZoneInfo, at_ns: int) -> datetime:
    """The local datetime of a UTC instant, to the second."""
    return datetime.fromtimestamp(at_ns // SECOND, zone)


def day_start(zone: ZoneInfo, day: date) -> int:
    """UTC ns of the first instant of a local day.

    Where midnight is skipped (zones that change at 00:00) the day begins at the change; where it occurs
    twice, at its first occurrence: `fold=0` means both.
    """
    return to_ns(datetime(day.year, day.month, day.day, tzinfo=zone))


def period_start(zone: ZoneInfo, cadence: Cadence, at_ns: int) -> int:
    """Start [UTC ns] of the local period that contains an instant."""
    if cadence is Cadence.HOURLY:
        return _hour_start(zone, at_ns)
    return day_start(zone, _first_day(cadence, to_local(zone, at_ns).date()))


def edges(zone: ZoneInfo, cadence: Cadence, start_ns: int, end_ns: int) -> Instants:
    """Edges of all local periods that touch [start_ns, end_ns): shape (periods + 1,), ascending.

    An empty span gives a single edge. Hours are counted in UTC from a local hour's start: a zone whose
    offset is no whole hour has its hours where its clocks show :00.
    """
    if cadence is Cadence.HOURLY:
        first = _hour_start(zone, start_ns)
        count = max(0, -(-(end_ns - first) // HOUR))
        return first + HOUR * np.arange(count + 1, dtype=np.int64)
    day = _first_day(cadence, to_local(zone, start_ns).date())
    found = [day_start(zone, day)]
    while found[-1] < end_ns:
        day = _next_day(cadence, day)
        found.append(day_start(zone, day))
    return np.array(found, np.int64)


def last_complete(zone: ZoneInfo, cadence: Cadence, now_ns: int, count: int) -> Instants:
    """Edges of the last `count` complete periods and of the current one: shape (count + 2,)."""
    current = period_start(zone, cadence, now_ns)
    span = {Cadence.HOURLY: 1, Cadence.DAILY: 1, Cadence.WEEKLY: 7, Cadence.MONTHLY: 31, Cadence.YEARLY: 366}
    back = current - (count + 1) * (span[cadence] * DAY if cadence is not Cadence.HOURLY else HOUR) - DAY
    found = edges(zone, cadence, back, now_ns + 1)
    return found[-(count + 2) :]


def utc_offsets(zone: ZoneInfo, instants: Instants) -> Instants:
    """The zone's UTC offset [ns] at each instant, vectorised: its few changes are found by bisection."""
    if len(instants) == 0:
        return np.zeros(0, np.int64)
    changes, offsets = _offset_changes(zone, int(instants.min()), int(instants.max()))
    return offsets[np.searchsorted(changes, instants, side="right")]


def hour_of_week(zone: ZoneInfo, instants: Instants) -> NDArray[np.int64]:
    """Local hour of the week, 0 (Monday 00:00) to 167, of each instant."""
    local = instants + utc_offsets(zone, instants)
    # 1970-01-01 was a Thursday: day number 3 of an ISO week that starts at 0.
    return (local // DAY + 3) % 7 * 24 + local % DAY // HOUR


def local_month(zone: ZoneInfo, instants: Instants) -> NDArray[np.int64]:
    """Local calendar month, 1 to 12, of each instant."""
    local = instants + utc_offsets(zone, instants)
    months = (local // SECOND).astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    return months % 12 + 1


def local_day_of_month(zone: ZoneInfo, instants: Instants) -> NDArray[np.int64]:
    """Local day of the month, 1 to 31, of each instant."""
    days = ((instants + utc_offsets(zone, instants)) // DAY).astype("datetime64[D]")
    return np.asarray((days - days.astype("datetime64[M]")).astype(np.int64) + 1, np.int64)


def expected_count(start_ns: int, end_ns: int, interval_s: int) -> int:
    """How many intervals a period has: its UTC length by the interval's."""
    return (end_ns - start_ns) // (interval_s * SECOND)


def _first_day(cadence: Cadence, day: date) -> date:
    if cadence is Cadence.WEEKLY:
        return day - timedelta(days=day.weekday())
    if cadence is Cadence.MONTHLY:
        return day.replace(day=1)
    if cadence is Cadence.YEARLY:
        return day.replace(month=1, day=1)
    return day


def _next_day(cadence: Cadence, day: date) -> date:
    if cadence is Cadence.MONTHLY:
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    if cadence is Cadence.YEARLY:
        return day.replace(year=day.year + 1)
    return day + timedelta(days=7 if cadence is Cadence.WEEKLY else 1)


def _hour_start(zone: ZoneInfo, at_ns: int) -> int:
    offset = _offset_at(zone, at_ns)
    return (at_ns + offset) // HOUR * HOUR - offset


def _offset_at(zone: ZoneInfo, at_ns: int) -> int:
    offset = to_local(zone, at_ns).utcoffset()
    return 0 if offset is None else (offset.days * 86_400 + offset.seconds) * SECOND


def _offset_changes(zone: ZoneInfo, first_ns: int, last_ns: int) -> tuple[Instants, Instants]:
    """Instants where the offset changes within the span, and the offsets before, between and after them.

    The span is probed every 7 days (no zone has ever changed there and back within a week of civil use; one
    that did would be seen from its second change on), then each change is bisected to the second.
    """
    probes = [*range(first_ns, last_ns, 7 * DAY), last_ns]
    changes: list[int] = []
    offsets = [_offset_at(zone, probes[0])]
    for left, right in pairwise(probes):
        after = _offset_at(zone, right)
        if after != offsets[-1]:
            changes.append(_bisect_change(zone, left, right))
            offsets.append(after)
    return np.array(changes, np.int64), np.array(offsets, np.int64)


def _bisect_change(zone: ZoneInfo, left: int, right: int) -> int:
    """The first instant, at a full second, that has the offset of `right`; `left` has another one."""
    before = _offset_at(zone, left)
    low, high = left // SECOND, -(-right // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(zone, middle * SECOND) == before:
            low = middle
        else:
            high = middle
    return high * SECOND
