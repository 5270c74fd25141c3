"""Intervals of every point: quarter-hours from raw samples, hours and days from quarter-hours, minutes where
a role wants them. Only what differs from what is stored is handed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from zoneinfo import ZoneInfo

import numpy as np

from analytics.calendar import DAY, MINUTE, Cadence, edges, period_start
from analytics.flags import IntervalFlag
from analytics.intervals import Columns, roll_up
from gateway.kpi.feed import (
    COUNTER,
    QUARTER,
    Instants,
    SeriesReader,
    columns_of,
    intervals_of,
    join,
    merge,
    point_intervals,
    regular_edges,
    take,
)
from gateway.kpi.messages import ComputedIntervals, ComputedKpis, PointModel, Refresh
from gateway.store.columns import IntervalBlock

FOREVER = 1 << 62
HOUR = 4 * QUARTER
LOOK = DAY
"""How far around a span samples are read: a counter's gap up to this long is bridged."""
BITE = 28 * DAY
"""Raw samples are read this much at a time, however long the worker was away; LOOK comes on top, twice."""
RECENT = 62 * DAY
"""How far before the newest interval one is looked for that was computed and not imported."""
BLOCK_ROWS = 10_000
_IMPORTED = np.uint16(int(IntervalFlag.IMPORTED))

Send = Callable[[ComputedIntervals | ComputedKpis], None]


class PointFeed:
    """What the worker knows of the points. quarters: of roles' members, all of history.

    new_minutes: 1-minute intervals that the last refresh made or changed, by name.
    """

    def __init__(
        self, points: Mapping[str, PointModel], zone: ZoneInfo, members: set[str], by_minute: set[str]
    ) -> None:
        self._points = points
        self._zone = zone
        self._members = members
        self._by_minute = by_minute
        self.quarters: dict[str, Columns] = {}
        self.new_minutes: dict[str, Columns] = {}
        self._next: dict[str, int] = {}
        self._newest_good: dict[str, int] = {}
        self._day_edges: tuple[tuple[int, int], Instants] | None = None

    def refresh(self, reader: SeriesReader, request: Refresh, send: Send) -> None:
        """Bring every point up to `request.closed_until`."""
        self.new_minutes = {}
        if request.history_changed:
            for known in (self.quarters, self._next, self._newest_good):
                known.clear()
        for name, point in self._points.items():
            self._refresh_point(reader, name, point, request, send)

    def _refresh_point(
        self, reader: SeriesReader, name: str, point: PointModel, request: Refresh, send: Send
    ) -> None:
        closed = request.closed_until
        if name in self._members and name not in self.quarters:
            self.quarters[name] = columns_of(reader.intervals(point.series, "15m", 0, FOREVER))
        is_new = name not in self._next
        if is_new:
            self._next[name] = self._first_unknown(reader, name, point) or closed
        begin = self._next[name]
        changed: list[Columns] = []
        for first, last in self._spans(reader, name, point, request):
            made, newest = point_intervals(reader, point, first, last, LOOK)
            self._newest_good[name] = max(newest, self._newest_good.get(name, 0))
            changed.append(self._put_quarters(reader, name, point, made, send))
            if name in self._by_minute:
                self._put_minutes(reader, name, point, first, last, send)
        self._next[name] = max(closed, begin)
        touched = min([begin, *(int(part.start[0]) for part in changed if len(part))])
        if is_new:
            touched = min(touched, self._coarse_until(reader, name, point, request.history_changed))
        self._put_coarse(reader, name, point, touched, closed, changed, send)

    def _first_unknown(self, reader: SeriesReader, name: str, point: PointModel) -> int:
        """Where the point's computed intervals end; where its samples begin when there are none; 0 without
        samples. What was imported is not computed: samples before its end may still be unread."""
        known = self.quarters.get(name)
        if known is None:
            newest = reader.newest_interval_start(point.series, "15m")
            known = columns_of(reader.intervals(point.series, "15m", newest - RECENT, newest + 1))
        computed = known.start[(known.flags & _IMPORTED) == 0]
        if len(computed):
            return int(computed[-1]) + QUARTER
        return reader.oldest_sample_time(point.series) // QUARTER * QUARTER

    def _spans(
        self, reader: SeriesReader, name: str, point: PointModel, request: Refresh
    ) -> Iterator[tuple[int, int]]:
        """Spans to compute, one after the other: what late samples touch, then what is new in bites."""
        closed, start = request.closed_until, self._next[name]
        for series, first, last in request.dirty:
            if series == point.series:
                first, last = _reach(reader, point, first, last)
                if first < (last := min(last, start)):
                    yield first, last
        while start < closed:
            # A counter's advance since its last sample was not known then: that interval is made again.
            first = min(start, self._newest_good.get(name, FOREVER) // QUARTER * QUARTER)
            start = min(start + BITE, closed)
            yield first, start

    def _put_quarters(
        self, reader: SeriesReader, name: str, point: PointModel, made: Columns, send: Send
    ) -> Columns:
        known = self.quarters.get(name)
        if known is None:
            known = _stored(reader, point, "15m", made)
        merged, changed = merge(known, made, respect_imports=True)
        if name in self._members:
            self.quarters[name] = merged
        send_columns(send, point.series, "15m", changed)
        return changed

    def _put_minutes(
        self, reader: SeriesReader, name: str, point: PointModel, first: int, last: int, send: Send
    ) -> None:
        made, _ = point_intervals(reader, point, first, last, LOOK, MINUTE)
        _, changed = merge(_stored(reader, point, "1m", made), made, respect_imports=True)
        send_columns(send, point.series, "1m", changed)
        before = self.new_minutes.get(name)
        self.new_minutes[name] = (
            changed if before is None else merge(before, changed, respect_imports=False)[0]
        )

    def _coarse_until(self, reader: SeriesReader, name: str, point: PointModel, whole: bool) -> int:
        """From where hours and days must be compared with their quarter-hours when a point is first seen.

        Everything, when history was imported and for members, which are in memory anyway; otherwise from
        where the stored hours end.
        """
        if whole or name in self._members:
            known = self.quarters.get(name)
            return int(known.start[0]) if known is not None and len(known) else 0
        return reader.newest_interval_start(point.series, "1h")

    def _put_coarse(
        self,
        reader: SeriesReader,
        name: str,
        point: PointModel,
        touched: int,
        closed: int,
        changed: list[Columns],
        send: Send,
    ) -> None:
        """Hours and days that are over, from the local day of `touched` on."""
        if touched >= period_start(self._zone, Cadence.HOURLY, closed):
            return
        fine = self._fine(reader, name, point, touched, closed, changed)
        if len(fine) == 0:
            return
        begin = period_start(self._zone, Cadence.DAILY, int(fine.start[0]))
        hours = regular_edges(begin, closed, HOUR)
        days = self._days(begin, closed)
        for resolution, edge in (("1h", hours), ("1d", days[days <= closed])):
            if len(edge) < 2:
                continue
            made = roll_up(fine, QUARTER, edge)
            # History that came as hours or days has no quarter-hours: it stays as it came.
            made = take(made, np.diff(np.searchsorted(fine.start, edge)) > 0)
            if len(made):
                known = _stored(reader, point, resolution, made)
                send_columns(send, point.series, resolution, merge(known, made, respect_imports=False)[1])

    def _days(self, begin: int, closed: int) -> Instants:
        """Edges of local days; nearly all points of a refresh ask for the same."""
        if self._day_edges is None or self._day_edges[0] != (begin, closed):
            self._day_edges = (begin, closed), edges(self._zone, Cadence.DAILY, begin, closed)
        return self._day_edges[1]

    def _fine(
        self,
        reader: SeriesReader,
        name: str,
        point: PointModel,
        touched: int,
        closed: int,
        changed: list[Columns],
    ) -> Columns:
        """Quarter-hours of [local day of touched, closed), with what this refresh changed."""
        begin = period_start(self._zone, Cadence.DAILY, touched) if touched else 0
        known = self.quarters.get(name)
        if known is not None:
            return take(known, slice(*np.searchsorted(known.start, (begin, closed)).tolist()))
        fine = columns_of(reader.intervals(point.series, "15m", begin, closed))
        if changed:
            fine, _ = merge(fine, join(changed), respect_imports=False)
        return take(fine, slice(*np.searchsorted(fine.start, (begin, closed)).tolist()))


def send_columns(send: Send, series: int, resolution: str, columns: Columns) -> None:
    """Hand columns to the gateway in frames of bounded size."""
    for first in range(0, len(columns), BLOCK_ROWS):
        part = take(columns, slice(first, first + BLOCK_ROWS))
        send(ComputedIntervals.of(IntervalBlock(series, resolution, intervals_of(part))))


def _stored(reader: SeriesReader, point: PointModel, resolution: str, like: Columns) -> Columns:
    """What the store has of the same span."""
    first, last = int(like.start[0]), int(like.start[-1]) + 1
    return columns_of(reader.intervals(point.series, resolution, first, last))


def _reach(reader: SeriesReader, point: PointModel, first: int, last: int) -> tuple[int, int]:
    """The quarter-hours that samples of [first, last] may change.

    A value holds beyond its sample; a counter's advance was spread between the good samples around.
    """
    start, end = first, last + round(point.hold_s * 1e9)
    if point.kind == COUNTER:
        samples = reader.samples(point.series, first - LOOK, last + LOOK)
        good = samples.time[~np.isnan(samples.value)]
        before, after = good[good < first], good[good > last]
        start = int(before[-1]) if len(before) else first
        end = int(after[0]) if len(after) else last
    return start // QUARTER * QUARTER, (end // QUARTER + 1) * QUARTER
