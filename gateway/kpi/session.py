"""One site in the worker: what it has read, and what is new at each refresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from analytics.availability import heartbeat_spans
from analytics.calendar import DAY, Cadence, day_start, edges
from analytics.intervals import Columns, roll_up
from gateway.expressions import Expression
from gateway.kpi.compute import Inputs, Settings, compute_kpis
from gateway.kpi.feed import (
    QUARTER,
    SeriesReader,
    columns_of,
    intervals_of,
    merge,
    point_intervals,
    regular_edges,
    role_intervals,
    take,
)
from gateway.kpi.history import History, RoleHistory
from gateway.kpi.messages import ComputedIntervals, ComputedKpis, PointModel, Refresh, RoleModel, SiteModel
from gateway.records import KpiResult
from gateway.store.columns import IntervalBlock

FOREVER = 1 << 62
SEARCH_BACK = 7 * DAY
"""How far back raw samples without intervals are looked for when the worker starts."""
LOOK_BACK = DAY
UPTIME_BACK = 62 * DAY
BLOCK_ROWS = 10_000

Send = Callable[[ComputedIntervals | ComputedKpis], None]


class Session:
    """The worker's state for one SiteModel; a new model begins a new session."""

    def __init__(self, model: SiteModel) -> None:
        self.store = Path(model.store)
        self._model = model
        self._zone = ZoneInfo(model.timezone)
        self._points = {f"{point.device}/{point.point}": point for point in model.points}
        self._members = {
            name for role in model.roles for name in Expression.parse(role.expression).names
        } & self._points.keys()
        self._quarters: dict[str, Columns] = {}
        self._made: dict[tuple[int, str], Columns] = {}
        self._next: dict[str, int] = {}
        self._newest_good: dict[str, int] = {}
        self._sent: dict[tuple[str, str, str, int], KpiResult] = {}

    def refresh(self, reader: SeriesReader, request: Refresh, send: Send) -> None:
        """Compute what is new up to `request.closed_until` and send what differs from what is known."""
        if request.history_changed:
            self._forget()
        for name, point in self._points.items():
            self._refresh_point(reader, name, point, request, send)
        history = self._refresh_roles(reader, request.closed_until, send)
        self._refresh_kpis(reader, history, request, send)

    def _forget(self) -> None:
        for known in (self._quarters, self._made, self._next, self._newest_good):
            known.clear()

    def _refresh_point(
        self, reader: SeriesReader, name: str, point: PointModel, request: Refresh, send: Send
    ) -> None:
        closed = request.closed_until
        if name in self._members and name not in self._quarters:
            self._quarters[name] = columns_of(reader.intervals(point.series, "15m", 0, FOREVER))
        if name not in self._next:
            self._next[name] = self._first_unknown(reader, name, point, closed)
        # A counter's advance since its last sample was not known then: that interval is made again.
        start = min(self._next[name], self._newest_good.get(name, FOREVER) // QUARTER * QUARTER)
        spans = [(start, closed)]
        for series, first, last in request.dirty:
            if series == point.series:
                spans.append((first // QUARTER * QUARTER, min(closed, -(-last // QUARTER) * QUARTER)))
        for first, last in spans:
            if first >= last:
                continue
            made, newest = point_intervals(reader, point, first, last, LOOK_BACK)
            self._newest_good[name] = max(newest, self._newest_good.get(name, 0))
            self._put_point(reader, name, point, made, send)
        self._next[name] = max(closed, self._next[name])

    def _first_unknown(self, reader: SeriesReader, name: str, point: PointModel, closed: int) -> int:
        """Where the computed intervals of a point end; a week ago when there are none."""
        known = self._quarters.get(name)
        start = (
            known.start
            if known is not None
            else reader.intervals(point.series, "15m", closed - SEARCH_BACK, FOREVER).start
        )
        newest = int(start[-1]) + QUARTER if len(start) else 0
        return max(newest, (closed - SEARCH_BACK) // QUARTER * QUARTER)

    def _put_point(
        self, reader: SeriesReader, name: str, point: PointModel, made: Columns, send: Send
    ) -> None:
        if name in self._members:
            known = self._quarters[name]
        else:
            first, last = int(made.start[0]), int(made.start[-1]) + 1
            known = columns_of(reader.intervals(point.series, "15m", first, last))
        merged, changed = merge(known, made, respect_imports=True)
        if name in self._members:
            self._quarters[name] = merged
        _send_columns(send, point.series, "15m", changed)

    def _refresh_roles(self, reader: SeriesReader, closed: int, send: Send) -> History:
        """Every role's quarter-hours, hours and days on one grid that begins with a local day.

        A site that has measured nothing yet gets the current day, empty: its KPIs can say what they lack.
        """
        begins = [int(self._quarters[name].start[0]) for name in self._members if len(self._quarters[name])]
        begin = min([*begins, closed - QUARTER])
        first = int(edges(self._zone, Cadence.DAILY, begin, begin + 1)[0])
        grid = regular_edges(first, closed, QUARTER)
        days = edges(self._zone, Cadence.DAILY, first, closed)
        hours = regular_edges(first, closed, 4 * QUARTER)
        days = days[days <= closed]
        kinds = {name: point.kind for name, point in self._points.items()}
        roles = {}
        for role in self._model.roles:
            if not set(Expression.parse(role.expression).names) <= self._members:
                continue
            quarter = role_intervals(role, self._quarters, kinds, grid)
            hour, day = roll_up(quarter, QUARTER, hours), roll_up(quarter, QUARTER, days)
            roles[role.name] = RoleHistory(role.kind, role.unit, quarter, hour, day)
            self._put_role(reader, role, {"15m": quarter, "1h": hour, "1d": day}, send)
        return History(self._zone, first, closed, hours, days, roles)

    def _put_role(self, reader: SeriesReader, role: RoleModel, made: dict[str, Columns], send: Send) -> None:
        for resolution, columns in made.items():
            key = (role.series, resolution)
            if key not in self._made:
                self._made[key] = columns_of(reader.intervals(role.series, resolution, 0, FOREVER))
            self._made[key], changed = merge(self._made[key], columns, respect_imports=False)
            _send_columns(send, role.series, resolution, changed)

    def _refresh_kpis(self, reader: SeriesReader, history: History, request: Refresh, send: Send) -> None:
        results = compute_kpis(
            Inputs(
                history=history,
                settings=self._settings(),
                now=request.now,
                up=self._up(reader, request.now),
                started=self._started,
            )
        )
        changed = [result for result in results if self._is_news(result)]
        if changed:
            send(ComputedKpis(tuple(changed)))

    def _is_news(self, result: KpiResult) -> bool:
        key = (result.kpi, result.cadence, result.scope, result.start)
        plain = msgspec.structs.replace(result, computed=0)
        if self._sent.get(key) == plain:
            return False
        self._sent[key] = plain
        return True

    def _up(self, reader: SeriesReader, now: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """When the gateway is known to have run, from its own signs of life."""
        self._started = now
        if self._model.heartbeat is None:
            return np.zeros((0, 2), np.int64)
        beats = reader.samples(self._model.heartbeat, now - UPTIME_BACK, now + 1).time
        if len(beats):
            self._started = int(beats[0])
        return heartbeat_spans(beats, round(self._model.heartbeat_hold_s * 1e9))

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


def _send_columns(send: Send, series: int, resolution: str, columns: Columns) -> None:
    for part in _parts(columns):
        send(ComputedIntervals.of(IntervalBlock(series, resolution, intervals_of(part))))


def _parts(columns: Columns) -> Iterator[Columns]:
    for first in range(0, len(columns), BLOCK_ROWS):
        yield take(columns, slice(first, first + BLOCK_ROWS))
