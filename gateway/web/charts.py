"""Small charts as SVG, drawn on the server: readable without JavaScript, styled by classes alone.

An outer <svg> without a viewBox holds texts and grid lines at percentages, so they keep their size at any
width; an inner <svg> with a stretched viewBox holds the lines, whose stroke does not scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_PLOT_LEFT, _PLOT_TOP, _PLOT_BOTTOM = 0.0, 4.0, 86.0
"""The plot's edges [%] inside the chart: the time axis' texts stand below it."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The value axis: limits and the ticks between them."""

    low: float
    high: float
    ticks: tuple[float, ...]


def nice_scale(low: float, high: float, wanted: int = 4) -> Scale:
    """Round limits and ticks (1, 2, 2.5 or 5 times a power of ten) around low..high; a flat one gets room."""
    if not (np.isfinite(low) and np.isfinite(high)):
        low, high = 0.0, 1.0
    if high - low < 1e-9 * max(1.0, abs(high)):
        room = abs(high) * 0.05 or 1.0
        low, high = low - room, high + room
    raw = (high - low) / max(1, wanted - 1)
    magnitude = 10.0 ** np.floor(np.log10(raw))
    step = float(magnitude * min((m for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw), default=10))
    first, last = np.floor(low / step), np.ceil(high / step)
    ticks = tuple(float(round(k * step, 12)) for k in np.arange(first, last + 0.5))
    return Scale(ticks[0], ticks[-1], ticks)


def _fit(values: FloatArray, scale: Scale) -> FloatArray:
    """Values as heights in a box of 100, the top being 0."""
    return 100.0 - 100.0 * (values - scale.low) / (scale.high - scale.low)


def line_path(x: FloatArray, y: FloatArray) -> str:
    """An SVG path through the finite points; a NaN lifts the pen, so that a gap is seen as a gap.

    A point alone between two gaps becomes a dot (a line of no length with round ends).
    """
    finite = np.isfinite(y)
    starts = finite & ~np.concatenate(([False], finite[:-1]))
    ends = finite & ~np.concatenate((finite[1:], [False]))
    parts = [
        f"{'M' if starts[i] else 'L'}{x[i]:.1f} {y[i]:.1f}{'h0' if starts[i] and ends[i] else ''}"
        for i in np.flatnonzero(finite)
    ]
    return "".join(parts)


def _band_path(x: FloatArray, lower: FloatArray, upper: FloatArray) -> str:
    """Closed areas between lower and upper, one for each run without a gap."""
    finite = np.isfinite(lower) & np.isfinite(upper)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], finite.astype(np.int8), [0]))))
    parts = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        there = [f"{x[i]:.1f} {upper[i]:.1f}" for i in range(first, last)]
        back = [f"{x[i]:.1f} {lower[i]:.1f}" for i in range(last - 1, first - 1, -1)]
        parts.append("M" + "L".join(there + back) + "Z")
    return "".join(parts)


def sparkline(values: Sequence[float | None], target: float | None, label: str) -> Markup:
    """A line of a dozen periods with the target drawn; empty when there is nothing to draw."""
    y = np.array([np.nan if v is None else v for v in values], np.float64)
    if not np.isfinite(y).any():
        return Markup("")
    extent = [*y[np.isfinite(y)].tolist(), *([] if target is None else [target])]
    low, high = min(extent), max(extent)
    room = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
    scale = Scale(low - room, high + room, ())
    x = np.linspace(2.0, 98.0, len(y)) if len(y) > 1 else np.array([50.0])
    heights = _fit(y, scale)
    parts = [
        f'<svg class="spark" role="img" aria-label="{escape(label)}" width="100%" height="44">',
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">',
    ]
    if target is not None:
        level = float(_fit(np.array([target]), scale)[0])
        parts.append(f'<path class="target" d="M0 {level:.1f}H100"/>')
    parts.append(f'<path class="line" d="{line_path(x, heights)}"/></svg>')
    last = int(np.flatnonzero(np.isfinite(y))[-1])
    parts.append(f'<circle class="dot" cx="{x[last]:.1f}%" cy="{heights[last]:.1f}%" r="3"/></svg>')
    return Markup("".join(parts))  # noqa: S704 - numbers and an escaped label only


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where (in the axis' own unit) and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """What a chart shows. x rises; y, lower and upper may hold NaN (a gap). All shapes (n,).

    dashed: True where a value is estimated. target: a level drawn across. step: hold values as steps.
    """

    x: FloatArray
    y: FloatArray
    x_range: tuple[float, float]
    x_ticks: Sequence[Tick]
    y_scale: Scale
    y_ticks: Sequence[Tick]
    label: str
    lower: FloatArray | None = None
    upper: FloatArray | None = None
    dashed: NDArray[np.bool_] | None = None
    target: Tick | None = None
    step: bool = False


def line_chart(chart: LineChart) -> Markup:
    """The chart as SVG, full width; its height is given by the class in the style sheet."""
    span = (chart.x_range[1] - chart.x_range[0]) or 1.0
    x = 100.0 * (chart.x - chart.x_range[0]) / span
    y = _fit(chart.y, chart.y_scale)
    if chart.step:
        x, y = _as_steps(x, y)
    parts = [f'<svg class="chart" role="img" aria-label="{escape(chart.label)}" width="100%">']
    parts += _value_axis(chart)
    parts += _time_axis(chart, span)
    height = _PLOT_BOTTOM - _PLOT_TOP
    parts.append(
        f'<svg class="plot" x="0" y="{_PLOT_TOP}%" width="100%" height="{height}%" '
        'viewBox="0 0 100 100" preserveAspectRatio="none">'
    )
    if chart.lower is not None and chart.upper is not None:
        band = _band_path(x, _fit(chart.lower, chart.y_scale), _fit(chart.upper, chart.y_scale))
        parts.append(f'<path class="band" d="{band}"/>')
    if chart.target is not None:
        level = float(_fit(np.array([chart.target.at]), chart.y_scale)[0])
        parts.append(f'<path class="target" d="M0 {level:.1f}H100"/>')
    parts += _lines(x, y, None if chart.step else chart.dashed)
    parts.append("</svg>")
    if chart.target is not None:
        parts.append(_target_text(chart))
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - numbers and escaped texts only


def _lines(x: FloatArray, y: FloatArray, dashed: NDArray[np.bool_] | None) -> list[str]:
    if dashed is None or not dashed.any():
        return [f'<path class="line" d="{line_path(x, y)}"/>']
    # The dashed line also takes each neighbour, so that it joins the solid one.
    near = dashed | np.concatenate(([False], dashed[:-1])) | np.concatenate((dashed[1:], [False]))
    return [
        f'<path class="line" d="{line_path(x, np.where(dashed, np.nan, y))}"/>',
        f'<path class="line estimated" d="{line_path(x, np.where(near, y, np.nan))}"/>',
    ]


def _as_steps(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each value held until the next one."""
    if len(x) < 2:
        return x, y
    return np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]


def _value_axis(chart: LineChart) -> list[str]:
    parts = []
    for tick in chart.y_ticks:
        level = float(_fit(np.array([tick.at]), chart.y_scale)[0])
        y = _PLOT_TOP + level * (_PLOT_BOTTOM - _PLOT_TOP) / 100
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y:.2f}%" y2="{y:.2f}%"/>')
        parts.append(f'<text class="tick" x="0" y="{y:.2f}%" dy="-4">{escape(tick.text)}</text>')
    return parts


def _time_axis(chart: LineChart, span: float) -> list[str]:
    parts = []
    for tick in chart.x_ticks:
        x = 100.0 * (tick.at - chart.x_range[0]) / span
        anchor = "start" if x < 4 else "end" if x > 96 else "middle"
        parts.append(
            f'<text class="tick" x="{x:.2f}%" y="100%" dy="-4" text-anchor="{anchor}">'
            f"{escape(tick.text)}</text>"
        )
    return parts


def _target_text(chart: LineChart) -> str:
    assert chart.target is not None  # noqa: S101 - the caller has looked
    level = float(_fit(np.array([chart.target.at]), chart.y_scale)[0])
    y = _PLOT_TOP + level * (_PLOT_BOTTOM - _PLOT_TOP) / 100
    text = escape(chart.target.text)
    return f'<text class="tick aim" x="100%" y="{y:.2f}%" dy="-4" text-anchor="end">{text}</text>'
