"""A point's past, ready to draw: columns for the chart, rows for the table, text for the download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import orjson
from markupsafe import Markup
from numpy.typing import NDArray

from gateway.clock import SECOND_NS
from gateway.status import PointStatus
from gateway.web import formats
from gateway.web.charts import FloatArray, LineChart, Tick, line_chart, nice_scale
from gateway.web.words import Voice

if TYPE_CHECKING:
    from gateway.store.columns import Intervals
    from gateway.store.reader import Reader

BUCKETS = 360
"""Buckets across a chart: more than a phone has pixels columns for is wasted."""
TABLE_ROWS = 168
GAP_PERIODS = 3.0


@dataclass(frozen=True, slots=True)
class Range:
    """A choice of time range: its name in the address, its length, the resolutions that suit, best first."""

    name: str
    length_ns: int
    chart: tuple[str, ...]
    amounts: tuple[str, ...]
    table: tuple[str, ...]


DAY = Range("24h", 24 * 3600 * SECOND_NS, chart=("15m",), amounts=("15m",), table=("1h", "15m"))
WEEK = Range(
    "7d", 7 * 24 * 3600 * SECOND_NS, chart=("15m",), amounts=("1h", "15m"), table=("1d", "1h", "15m")
)
RANGES = {one.name: one for one in (DAY, WEEK)}


@dataclass(frozen=True, slots=True)
class Trace:
    """What is drawn: time [s, UTC], value with NaN for gaps, and the range seen around it.

    amount: y is an amount per interval (a counter's advance), not a level.
    """

    time: FloatArray
    value: FloatArray
    lower: FloatArray
    upper: FloatArray
    amount: bool = False

    def __len__(self) -> int:
        return len(self.time)


def read_trace(reader: Reader, point: PointStatus, span: Range, end_ns: int) -> Trace:
    """Blocking. A counter gives its amount per interval; a level its raw values, thinned.

    Where raw values begin later than the range (imported past), interval means stand before them.
    """
    start_ns = end_ns - span.length_ns
    if point.kind == "counter":
        intervals = read_intervals(reader, point, span.amounts, start_ns, end_ns)
        if len(intervals):
            return _amounts(intervals)
    intervals = read_intervals(reader, point, span.chart, start_ns, end_ns)
    if span is WEEK and len(intervals):
        return _levels(intervals)
    samples = reader.samples(point.series, start_ns, end_ns)
    raw = thin(samples.time, samples.value, start_ns, end_ns, point.every_s)
    return _joined(_levels(intervals), raw) if len(intervals) else raw


def read_intervals(
    reader: Reader, point: PointStatus, resolutions: Sequence[str], start_ns: int, end_ns: int
) -> Intervals:
    """Blocking. Intervals at the first of these resolutions that the store has; empty when it has none."""
    for resolution in resolutions:
        intervals = reader.intervals(point.series, resolution, start_ns, end_ns)
        if len(intervals):
            break
    return intervals


def thin(time_ns: NDArray[np.int64], value: FloatArray, start_ns: int, end_ns: int, every_s: float) -> Trace:
    """Mean, lowest and highest in each of at most `BUCKETS` buckets; a pause breaks the line.

    time_ns: shape (n,), rising; value: shape (n,), NaN where bad. A bucket of bad values only is a gap.
    """
    if not len(time_ns):
        return _empty()
    width = max((end_ns - start_ns) // BUCKETS, 1)
    bucket = (time_ns - start_ns) // width
    first = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    good = np.isfinite(value)
    n = np.add.reduceat(good.astype(np.float64), first)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(good, value, 0.0), first) / n
    lower = np.minimum.reduceat(np.where(good, value, np.inf), first)
    upper = np.maximum.reduceat(np.where(good, value, -np.inf), first)
    lower, upper = np.where(n > 0, lower, np.nan), np.where(n > 0, upper, np.nan)
    pause_s = GAP_PERIODS * max(every_s, width / SECOND_NS)
    return _with_gaps(Trace(time_ns[first] / SECOND_NS, mean, lower, upper), pause_s)


def _empty(amount: bool = False) -> Trace:
    none = np.empty(0, np.float64)
    return Trace(none, none, none, none, amount)


def _with_gaps(trace: Trace, pause_s: float) -> Trace:
    """Insert a NaN after every pause, so that the line is lifted there."""
    pauses = np.flatnonzero(np.diff(trace.time) > pause_s) + 1
    if not len(pauses):
        return trace
    middle = (trace.time[pauses - 1] + trace.time[pauses]) / 2
    return Trace(
        np.insert(trace.time, pauses, middle),
        np.insert(trace.value, pauses, np.nan),
        np.insert(trace.lower, pauses, np.nan),
        np.insert(trace.upper, pauses, np.nan),
        trace.amount,
    )


def _levels(intervals: Intervals) -> Trace:
    time = intervals.start / SECOND_NS
    return _with_gaps(Trace(time, intervals.mean, intervals.min, intervals.max), _pause(time))


def _amounts(intervals: Intervals) -> Trace:
    time = intervals.start / SECOND_NS
    nothing = np.full(len(time), np.nan)
    return _with_gaps(Trace(time, intervals.delta, nothing, nothing, amount=True), _pause(time))


def _pause(time: FloatArray) -> float:
    return 1.5 * float(np.median(np.diff(time))) if len(time) > 1 else np.inf


def _joined(past: Trace, recent: Trace) -> Trace:
    """Interval means up to the first raw value, raw from there on."""
    if not len(recent):
        return past
    keep = past.time < recent.time[0]
    return Trace(
        np.concatenate([past.time[keep], recent.time]),
        np.concatenate([past.value[keep], recent.value]),
        np.concatenate([past.lower[keep], recent.lower]),
        np.concatenate([past.upper[keep], recent.upper]),
    )


def draw(trace: Trace, point: PointStatus, span: Range, end_ns: int, voice: Voice) -> Markup:
    """The trace as SVG; empty when nothing of it is known."""
    if not np.isfinite(trace.value).any():
        return Markup("")
    known = np.concatenate([trace.value, trace.lower, trace.upper])
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    scale = nice_scale(min(0.0, low) if trace.amount else low, high)
    start_ns = end_ns - span.length_ns
    unit = formats.unit_text(point.unit)
    name = f"{point.device}/{point.point}"
    return line_chart(
        LineChart(
            x=trace.time,
            y=trace.value,
            x_range=(start_ns / SECOND_NS, end_ns / SECOND_NS),
            x_ticks=time_ticks(start_ns, end_ns, voice),
            y_scale=scale,
            y_ticks=[Tick(v, formats.quantity(v, point.unit, voice.lang, trim=True)) for v in scale.ticks],
            label=voice.t("point.chart", name=name, unit=unit or "-", range=span.name),
            lower=trace.lower,
            upper=trace.upper,
            step=trace.amount or point.kind in ("state", "setpoint", "command"),
        )
    )


def time_ticks(start_ns: int, end_ns: int, voice: Voice) -> list[Tick]:
    """Marks at local midnights of a week, or every six local hours of a day, DST days included."""
    zone: ZoneInfo = voice.zone
    weekly = end_ns - start_ns > 2 * DAY.length_ns
    step = timedelta(days=1) if weekly else timedelta(hours=6)
    # Wall-clock steps in the site's zone: adding to a naive local time keeps 06:00 at 06:00.
    wall = formats.local(start_ns, zone).replace(hour=0, minute=0, second=0, tzinfo=None)
    ticks: list[Tick] = []
    while True:
        seconds = wall.replace(tzinfo=zone).timestamp()
        if seconds * SECOND_NS > end_ns:
            return ticks
        if seconds * SECOND_NS >= start_ns:
            at = round(seconds) * SECOND_NS
            text = formats.short_period(at, "daily", zone, voice.lang) if weekly else f"{wall:%H:%M}"
            ticks.append(Tick(seconds, text))
        wall += step


@dataclass(frozen=True, slots=True)
class TableRow:
    """One interval in words."""

    start: str
    iso: str
    mean: str
    low: str
    high: str
    amount: str
    share: str


def table_rows(intervals: Intervals, point: PointStatus, voice: Voice) -> list[TableRow]:
    """The newest `TABLE_ROWS` intervals, newest first. This is what a person reads, not a data path."""

    def text(value: float) -> str:
        return formats.number(value, voice.lang)

    return [
        TableRow(
            start=voice.moment(int(intervals.start[i])),
            iso=formats.iso(int(intervals.start[i])),
            mean=text(float(intervals.mean[i])),
            low=text(float(intervals.min[i])),
            high=text(float(intervals.max[i])),
            amount=text(float(intervals.delta[i])) if point.kind == "counter" else "",
            share=voice.share(float(intervals.completeness[i])),
        )
        for i in range(len(intervals) - 1, max(-1, len(intervals) - 1 - TABLE_ROWS), -1)
    ]


def csv_columns(
    point: PointStatus, time_ns: NDArray[np.int64], value: FloatArray, quality: NDArray[np.uint8]
) -> bytes:
    """RFC 4180 text: time (UTC, ISO 8601), value in the unit named by the header, quality code."""
    header = f"time_utc,{point.point}_{point.unit},quality\r\n".encode()
    if not len(time_ns):
        return header
    times = np.datetime_as_string(time_ns.astype("datetime64[ns]"), unit="ms").tolist()
    values = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().replace("null", "")
    lines = map("{}Z,{},{}".format, times, values.split(","), quality.tolist())
    return header + "\r\n".join(lines).encode() + b"\r\n"
