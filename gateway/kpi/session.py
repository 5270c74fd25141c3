"""One site in the worker: what it has read, and what is new at each refresh."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from analytics.availability import heartbeat_spans
from analytics.calendar import DAY, MINUTE, Cadence, day_start, edges
from analytics.intervals import Columns, roll_up
from gateway.expressions import Expression
from gateway.kpi.compute import Inputs, Settings, compute_kpis
from gateway.kpi.day_types import public_holidays
from gateway.kpi.feed import QUARTER, SeriesReader, columns_of, merge, regular_edges, role_intervals
from gateway.kpi.history import IMPORT, History, RoleHistory
from gateway.kpi.messages import ComputedIntervals, ComputedKpis, Refresh, RoleModel, SiteModel
from gateway.kpi.models import Fits
from gateway.kpi.points import FOREVER, PointFeed, Send, send_columns
from gateway.records import KpiResult

UPTIME_BACK = 62 * DAY
MINUTES_BACK = 400 * DAY
"""How far back 1-minute demand is read: twelve months and the current one."""


class Session:
    """The worker's state for one SiteModel; a new model begins a new session."""

    def __init__(self, model: SiteModel) -> None:
        self.store = Path(model.store)
        self._model = model
        self._zone = ZoneInfo(model.timezone)
        points = {f"{point.device}/{point.point}": point for point in model.points}
        self._kinds = {name: point.kind for name, point in points.items()}
        self._series = {name: point.series for name, point in points.items()}
        names = {role.name: Expression.parse(role.expression).names for role in model.roles}
        self._roles = [role for role in model.roles if set(names[role.name]) <= points.keys()]
        self._members = {name for used in names.values() for name in used} & points.keys()
        by_minute = {name for role in self._roles if role.minutes for name in names[role.name]}
        self._points = PointFeed(points, self._zone, self._members, by_minute)
        self._made: dict[tuple[int, str], Columns] = {}
        self._minutes: Columns | None = None
        self._fits: Fits = {}
        self._sent: dict[tuple[str, str, str, int], KpiResult] = {}

    def refresh(self, reader: SeriesReader, request: Refresh, send: Send) -> None:
        """Compute what is new up to `request.closed_until` and send what differs from what is known."""
        if request.history_changed:
            self._made.clear()
            self._minutes = None
        self._points.refresh(reader, request, send)
        history = self._refresh_roles(reader, request.closed_until, send)
        self._refresh_kpis(reader, history, request, send)

    def compute(self, reader: SeriesReader, now: int, start: int, end: int) -> list[KpiResult]:
        """Every KPI of the periods that touch [start, end), from what the store has; nothing is handed on."""
        request = Refresh(now, now // QUARTER * QUARTER)
        self._points.refresh(reader, request, _nowhere)
        history = self._refresh_roles(reader, request.closed_until, _nowhere)
        return compute_kpis(self._inputs(reader, history, now, min(start, now - UPTIME_BACK)), (start, end))

    def _refresh_roles(self, reader: SeriesReader, closed: int, send: Send) -> History:
        """Every role's quarter-hours, hours and days on one grid that begins with a local day.

        A site that has measured nothing yet gets the current day, empty: its KPIs can say what they lack.
        """
        quarters = self._points.quarters
        begins = [int(quarters[name].start[0]) for name in self._members if len(quarters[name])]
        begin = min([*begins, closed - QUARTER])
        first = int(edges(self._zone, Cadence.DAILY, begin, begin + 1)[0])
        grid = regular_edges(first, closed, QUARTER)
        days = edges(self._zone, Cadence.DAILY, first, closed)
        hours = regular_edges(first, closed, 4 * QUARTER)
        days = days[days <= closed]
        roles = {}
        for role in self._roles:
            quarter = role_intervals(role, quarters, self._kinds, grid)
            hour, day = roll_up(quarter, QUARTER, hours), roll_up(quarter, QUARTER, days)
            roles[role.name] = RoleHistory(role.kind, role.unit, quarter, hour, day)
            self._put_role(reader, role, {"15m": quarter, "1h": hour, "1d": day}, send)
            if role.minutes:
                self._put_minutes(reader, role, closed, send)
        holidays = public_holidays(self._model.holidays, self._zone, first, closed)
        return History(self._zone, first, closed, hours, days, roles, holidays, self._minutes)

    def _put_minutes(self, reader: SeriesReader, role: RoleModel, closed: int, send: Send) -> None:
        """A role's 1-minute intervals over the span in which any of its members' changed."""
        if role.name == IMPORT and self._minutes is None:
            stored = reader.intervals(role.series, "1m", closed - MINUTES_BACK, FOREVER)
            self._minutes = columns_of(stored)
        names = Expression.parse(role.expression).names
        fresh = {name: self._points.new_minutes[name] for name in names if name in self._points.new_minutes}
        starts = np.concatenate([np.zeros(0, np.int64), *(columns.start for columns in fresh.values())])
        if len(starts) == 0:
            return
        first, last = int(starts.min()), int(starts.max()) + MINUTE
        members = {}
        for name in names:
            known = columns_of(reader.intervals(self._series[name], "1m", first, last))
            members[name] = merge(known, fresh[name], respect_imports=False)[0] if name in fresh else known
        made = role_intervals(role, members, self._kinds, regular_edges(first, last, MINUTE))
        known = columns_of(reader.intervals(role.series, "1m", first, last))
        _, changed = merge(known, made, respect_imports=False)
        send_columns(send, role.series, "1m", changed)
        if role.name == IMPORT and self._minutes is not None:
            self._minutes, _ = merge(self._minutes, changed, respect_imports=False)

    def _put_role(self, reader: SeriesReader, role: RoleModel, made: dict[str, Columns], send: Send) -> None:
        for resolution, columns in made.items():
            key = (role.series, resolution)
            if key not in self._made:
                self._made[key] = columns_of(reader.intervals(role.series, resolution, 0, FOREVER))
            self._made[key], changed = merge(self._made[key], columns, respect_imports=False)
            send_columns(send, role.series, resolution, changed)

    def _refresh_kpis(self, reader: SeriesReader, history: History, request: Refresh, send: Send) -> None:
        results = compute_kpis(self._inputs(reader, history, request.now, request.now - UPTIME_BACK))
        changed = [result for result in results if self._is_news(result)]
        if changed:
            send(ComputedKpis(tuple(changed)))

    def _inputs(self, reader: SeriesReader, history: History, now: int, since: int) -> Inputs:
        up, started = self._up(reader, since, now)
        return Inputs(history, self._settings(), now, up, started, self._fits)

    def _is_news(self, result: KpiResult) -> bool:
        key = (result.kpi, result.cadence, result.scope, result.start)
        plain = msgspec.structs.replace(result, computed=0)
        if self._sent.get(key) == plain:
            return False
        self._sent[key] = plain
        return True

    def _up(self, reader: SeriesReader, since: int, now: int) -> tuple[NDArray[np.int64], int]:
        """Spans in which the gateway is known to have run, by its own signs of life, and its first."""
        if self._model.heartbeat is None:
            return np.zeros((0, 2), np.int64), now
        beats = reader.samples(self._model.heartbeat, since, now + 1).time
        spans = heartbeat_spans(beats, round(self._model.heartbeat_hold_s * 1e9))
        return spans, int(beats[0]) if len(beats) else now

    def _settings(self) -> Settings:
        model = self._model
        return Settings(
            area_m2=model.area_m2,
            baseline_start=self._day(model.baseline_from),
            baseline_end=self._day(model.baseline_to, after=1),
            retrofit=self._day(model.retrofit),
            baseline_label=f"{model.baseline_from}/{model.baseline_to}" if model.baseline_from else "",
            targets=model.targets,
            factors=model.factors,
        )

    def _day(self, iso: str, after: int = 0) -> int | None:
        return day_start(self._zone, date.fromisoformat(iso) + timedelta(days=after)) if iso else None


def _nowhere(message: ComputedIntervals | ComputedKpis) -> None:
    """What is computed only to look at it."""
