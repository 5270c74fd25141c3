"""From the store to interval columns: points from raw samples, roles from points.

Everything acts on whole columns. What is computed is compared with what is known, and only what differs is
handed on; an imported interval gives way only to one that is at least as complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analytics.flags import IntervalFlag
from analytics.intervals import Columns, counter_intervals, gauge_intervals
from gateway.expressions import Expression
from gateway.kpi.messages import PointModel, RoleModel
from gateway.store.columns import Intervals

QUARTER = 900 * 1_000_000_000
COUNTER = "counter"
VALUES = ("mean", "min", "max", "delta", "count", "completeness")
UNCERTAIN_FROM = 16

Instants = NDArray[np.int64]
Floats = NDArray[np.float64]


class SampleColumns(Protocol):
    """Samples of one series, as the reader gives them."""

    @property
    def time(self) -> Instants: ...

    @property
    def value(self) -> Floats: ...

    @property
    def quality(self) -> NDArray[np.uint8]: ...


class SeriesReader(Protocol):
    """The store's reader, as far as the feed needs it."""

    def samples(self, series: int, start_ns: int, end_ns: int) -> SampleColumns: ...

    def intervals(self, series: int, resolution: str, start_ns: int, end_ns: int) -> Intervals: ...

    def oldest_sample_time(self, series: int) -> int: ...

    def newest_interval_start(self, series: int, resolution: str) -> int: ...


def columns_of(intervals: Intervals) -> Columns:
    """The store's intervals as the analytics' columns: the same arrays."""
    i = intervals
    return Columns(i.start, i.mean, i.min, i.max, i.delta, i.count, i.completeness, i.flags)


def intervals_of(columns: Columns) -> Intervals:
    """The analytics' columns as the store's intervals: the same arrays."""
    c = columns
    return Intervals(c.start, c.mean, c.min, c.max, c.delta, c.count, c.completeness, c.flags)


def take(columns: Columns, chosen: NDArray[np.generic] | slice) -> Columns:
    """The chosen rows."""
    return _each(lambda name: getattr(columns, name)[chosen])


def _each(column: Callable[[str], NDArray[Any]]) -> Columns:
    """Columns made one by one, by name."""
    return Columns(**{name: column(name) for name in ("start", *VALUES, "flags")})


def regular_edges(start_ns: int, end_ns: int, length_ns: int) -> Instants:
    """Edges of the whole intervals in [start, end]; np.arange over ns rounds and may lose the last one."""
    return start_ns + length_ns * np.arange((end_ns - start_ns) // length_ns + 1, dtype=np.int64)


def point_intervals(
    reader: SeriesReader,
    point: PointModel,
    from_ns: int,
    until_ns: int,
    look_ns: int,
    length_ns: int = QUARTER,
) -> tuple[Columns, int]:
    """Intervals of [from, until) from raw samples, and the newest good sample's time among those read (0 =
    none).

    Samples are read from `look_ns` before to `look_ns` after, because a value holds into the first interval
    and a counter is interpolated across both edges, over a gap too.
    """
    hold_ns = round(point.hold_s * 1e9)
    around = max(look_ns, hold_ns)
    samples = reader.samples(point.series, from_ns - around, until_ns + around)
    edges = regular_edges(from_ns, until_ns, length_ns)
    if point.kind == COUNTER:
        columns = counter_intervals(
            samples.time, samples.value, edges, hold_ns, point.modulus, point.max_rate
        )
    else:
        columns = gauge_intervals(samples.time, samples.value, edges, hold_ns)
    good = ~np.isnan(samples.value)
    uncertain = samples.time[good & (samples.quality >= UNCERTAIN_FROM)]
    rows = np.searchsorted(edges, uncertain, side="right") - 1
    rows = rows[(rows >= 0) & (rows < len(columns))]
    columns.flags[rows] |= np.uint16(int(IntervalFlag.UNCERTAIN))
    newest = len(good) - 1 - int(np.argmax(good[::-1])) if good.any() else None
    return columns, 0 if newest is None else int(samples.time[newest])


def merge(old: Columns, new: Columns, *, respect_imports: bool) -> tuple[Columns, Columns]:
    """(old with new put in, the rows of new that say something old did not).

    A new row replaces the old one of the same start. Rows of new that know nothing are dropped where old has
    none; with `respect_imports` an imported row stays when it is more complete.
    """
    at = np.searchsorted(old.start, new.start)
    inside = at < len(old)
    match = np.zeros(len(new), np.bool_)
    match[inside] = old.start[at[inside]] == new.start[inside]
    before = np.where(match, at, 0)
    wanted = match | ~((new.completeness <= 0) & (new.count <= 0) & np.isnan(new.delta))
    if match.any():
        same = match.copy()
        for name in VALUES:
            ours, theirs = getattr(new, name), getattr(old, name)[before]
            same &= (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        wanted &= ~same
        if respect_imports:
            imported = (old.flags[before] & np.uint16(int(IntervalFlag.IMPORTED))) > 0
            wanted &= ~(match & imported & (new.completeness < old.completeness[before]))
    changed = new if wanted.all() else take(new, wanted)
    if len(changed) == 0:
        return old, changed
    if len(old) == 0:
        return changed, changed
    stay = np.ones(len(old), np.bool_)
    stay[at[wanted & match]] = False
    return join([take(old, stay), changed]), changed


def role_intervals(
    role: RoleModel, members: Mapping[str, Columns], kinds: Mapping[str, str], edges: Instants
) -> Columns:
    """A role's intervals on a regular grid: its expression over its members' columns.

    Counters enter by their advance, everything else by its mean. Completeness is the least of the members',
    count the fewest, flags their union. Minimum and maximum exist only for a role of one member.
    """
    expression = Expression.parse(role.expression)
    grid = {name: _on_grid(members[name], edges) for name in expression.names}
    value = expression.evaluate(
        {name: c.delta if kinds[name] == COUNTER else c.mean for name, c in grid.items()}
    )
    parts = list(grid.values())
    completeness = np.min([c.completeness for c in parts], axis=0)
    completeness = np.where(np.isnan(value), 0.0, completeness)
    count = np.min([c.count for c in parts], axis=0)
    flags = np.bitwise_or.reduce([c.flags for c in parts])
    nothing = np.full(len(value), np.nan)
    low = high = nothing
    if len(expression.names) == 1 and role.kind != COUNTER:
        a = expression.evaluate({name: c.min for name, c in grid.items()})
        b = expression.evaluate({name: c.max for name, c in grid.items()})
        low, high = np.minimum(a, b), np.maximum(a, b)
    mean, delta = (nothing, value) if role.kind == COUNTER else (value, nothing)
    return Columns(edges[:-1], mean, low, high, delta, count, completeness, flags)


def _on_grid(columns: Columns, edges: Instants) -> Columns:
    """The same columns with one row for each interval of a regular grid; absent ones are missing."""
    n = len(edges) - 1
    length = int(edges[1] - edges[0]) if n else QUARTER
    rows, off = np.divmod(columns.start - edges[0], length)
    inside = (rows >= 0) & (rows < n) & (off == 0)
    where = rows[inside]

    def spread(values: Floats, absent: float) -> Floats:
        out = np.full(n, absent)
        out[where] = values[inside]
        return out

    flags = np.zeros(n, np.uint16)
    flags[where] = columns.flags[inside]
    return Columns(
        edges[:-1],
        spread(columns.mean, np.nan),
        spread(columns.min, np.nan),
        spread(columns.max, np.nan),
        spread(columns.delta, np.nan),
        spread(columns.count, 0.0),
        spread(columns.completeness, 0.0),
        flags,
    )


def join(parts: Sequence[Columns]) -> Columns:
    """All parts as one, sorted; of several rows of one start the last part's stays. One part or more."""
    if len(parts) == 1:
        return parts[0]
    start = np.concatenate([part.start for part in parts])
    order = np.argsort(start, kind="stable")
    ordered = start[order]
    if len(order):
        order = order[np.append(ordered[1:] != ordered[:-1], True)]
    return _each(lambda name: np.concatenate([getattr(part, name) for part in parts])[order])
