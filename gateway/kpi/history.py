"""The building's roles over time, on one grid of quarter-hours that begins with a local day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from analytics.calendar import DAY, MINUTE, hour_of_week, local_day_of_month, local_month, utc_offsets
from analytics.intervals import Columns
from gateway.kpi.day_types import hours_as_on_sundays

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

QUARTER = 900 * 1_000_000_000
HOUR = 4 * QUARTER
WHOLE = 90.0
"""From this coverage [%] on a minute counts as measured: a peak is never made from a guess."""

IMPORT, EXPORT, PV = "site.electricity.import", "site.electricity.export", "site.pv.generation"
GAS, HEAT, WATER = "site.gas", "site.heat", "site.water"
TEMPERATURE, OCCUPANCY = "outdoor.temperature", "occupancy"


@dataclass(frozen=True, slots=True)
class RoleHistory:
    """One role's quarter-hours, whole hours and whole local days, each on the history's edges."""

    kind: str
    unit: str
    quarter: Columns
    hour: Columns
    day: Columns

    def amounts(self, columns: Columns, length_h: Floats) -> Floats:
        """What passed in each interval: a counter's advance, or a rate (kW, m3/h) times its length."""
        return columns.delta if self.kind == "counter" else columns.mean * length_h


class History:
    """All roles on common edges. hours, days: edges [UTC ns] of whole ones; end: the last quarter's.

    holidays: local days [days since 1970] that count as Sundays. import_minutes: 1-minute intervals of what
    the grid gave, where there are any.
    """

    def __init__(
        self,
        zone: ZoneInfo,
        start: int,
        end: int,
        hours: Ints,
        days: Ints,
        roles: dict[str, RoleHistory],
        holidays: Ints | None = None,
        import_minutes: Columns | None = None,
    ) -> None:
        self.zone = zone
        self.start = start
        self.end = end
        self.hours = hours
        self.days = days
        self.roles = roles
        self._import_minutes = import_minutes
        self._holidays = np.zeros(0, np.int64) if holidays is None else holidays

    def has(self, *names: str) -> bool:
        return all(name in self.roles for name in names)

    def quarters(self, start: int, end: int) -> slice:
        """The rows of quarter-hours in [start, end)."""
        return slice(max(0, (start - self.start) // QUARTER), max(0, (end - self.start) // QUARTER))

    def hour_rows(self, start: int, end: int) -> slice:
        """The rows of hours that start in [start, end)."""
        return slice(*np.searchsorted(self.hours[:-1], (start, end)).tolist())

    def day_rows(self, start: int, end: int) -> slice:
        """The rows of whole local days that start in [start, end)."""
        return slice(*np.searchsorted(self.days[:-1], (start, end)).tolist())

    def by_quarter(self, name: str) -> Floats:
        """What passed in each quarter-hour; zeros for a role the site does not have."""
        role = self.roles.get(name)
        n = (self.end - self.start) // QUARTER
        return role.amounts(role.quarter, np.full(n, 0.25)) if role else np.zeros(n)

    def by_hour(self, name: str) -> Floats:
        """What passed in each hour; zeros for a role the site does not have."""
        role = self.roles.get(name)
        n = len(self.hours) - 1
        return role.amounts(role.hour, np.ones(n)) if role else np.zeros(n)

    def by_day(self, name: str) -> Floats:
        """What passed on each whole day; zeros for a role the site does not have."""
        role = self.roles.get(name)
        length_h = np.diff(self.days) / HOUR
        return role.amounts(role.day, length_h) if role else np.zeros(len(length_h))

    def import_minutes(self, start: int, end: int) -> Floats:
        """Mean power taken from the grid in each minute of [start, end) [kW]; NaN where it was not measured
        minute by minute. Empty when no minute was."""
        minutes = self._import_minutes
        if minutes is None or IMPORT not in self.roles:
            return np.zeros(0)
        rows = slice(*np.searchsorted(minutes.start, (start, end)).tolist())
        if rows.start == rows.stop:
            return np.zeros(0)
        advance, power = minutes.delta[rows] * 60.0, minutes.mean[rows]
        out = np.full((end - start) // MINUTE, np.nan)
        measured = minutes.completeness[rows] >= WHOLE
        known = advance if self.roles[IMPORT].kind == "counter" else power
        out[(minutes.start[rows] - start) // MINUTE] = np.where(measured, known, np.nan)
        return out

    def hourly_mean(self, name: str) -> Floats:
        """A gauge's mean in each hour, gaps up to 6 h interpolated (CalTRACK 2.2)."""
        return _bridge(self.roles[name].hour.mean, 6) if name in self.roles else self._missing(self.hours)

    def daily_mean(self, name: str) -> Floats:
        """A gauge's mean of each whole day; missing when under half the day is covered."""
        if name not in self.roles:
            return self._missing(self.days)
        day = self.roles[name].day
        return np.where(day.completeness >= 50.0, day.mean, np.nan)

    @staticmethod
    def _missing(edges: Ints) -> Floats:
        return np.full(len(edges) - 1, np.nan)

    # Electricity used in the building: what came in, less what went out, plus what its own PV made. It is the
    # load that works on the building change; grid import alone would count sunshine as a saving.

    @cached_property
    def consumption_quarter(self) -> Floats:
        return self.by_quarter(IMPORT) - self.by_quarter(EXPORT) + self.by_quarter(PV)

    @cached_property
    def consumption_hour(self) -> Floats:
        return self.by_hour(IMPORT) - self.by_hour(EXPORT) + self.by_hour(PV)

    @cached_property
    def consumption_day(self) -> Floats:
        """[kWh] per whole day; 0 and below count as missing (CalTRACK 2.2.1.3)."""
        use = self.by_day(IMPORT) - self.by_day(EXPORT) + self.by_day(PV)
        return np.where(use > 0, use, np.nan)

    @cached_property
    def hour_of_week(self) -> Ints:
        """0 (Monday 00:00) to 167, of each hour; a public holiday's hours are a Sunday's."""
        return self._as_on_sundays(self.hours[:-1])

    @cached_property
    def month(self) -> Ints:
        return local_month(self.zone, self.hours[:-1])

    @cached_property
    def day_of_month(self) -> Ints:
        """1 to 31, of each hour."""
        return local_day_of_month(self.zone, self.hours[:-1])

    @cached_property
    def weekday(self) -> Ints:
        """0 = Monday, of each whole day; a public holiday is a Sunday."""
        return self._as_on_sundays(self.days[:-1]) // 24

    @cached_property
    def hour_of_day(self) -> Ints:
        local = self.hours[:-1] + utc_offsets(self.zone, self.hours[:-1])
        return local % DAY // HOUR

    def _as_on_sundays(self, instants: Ints) -> Ints:
        local_day = (instants + utc_offsets(self.zone, instants)) // DAY
        return hours_as_on_sundays(hour_of_week(self.zone, instants), local_day, self._holidays)


def _bridge(values: Floats, longest: int) -> Floats:
    """Linear interpolation across gaps of at most `longest` intervals."""
    missing = np.isnan(values)
    if not missing.any() or missing.all():
        return values
    rows = np.arange(len(values))
    known = rows[~missing]
    filled = np.interp(rows, known, values[~missing])
    before = known[np.clip(np.searchsorted(known, rows, side="right") - 1, 0, None)]
    after = known[np.clip(np.searchsorted(known, rows), None, len(known) - 1)]
    inside = (rows > known[0]) & (rows < known[-1]) & (after - before - 1 <= longest)
    return np.where(missing & ~inside, np.nan, filled)
