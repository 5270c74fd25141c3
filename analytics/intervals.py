"""Irregular samples to intervals, and fine intervals to coarse ones.

Edges are UTC ns, shape (n + 1,); interval i is [edges[i], edges[i+1]). A value holds from its sample until
the next one, at most `hold` ns: longer than that and nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.counters import STEP_RESET, STEP_ROLLOVER, unwrap
from analytics.flags import IntervalFlag
from analytics.kernel import kernel

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]
Flags = NDArray[np.uint16]

COMPLETE = 99.5
"""From this coverage [%] on an interval counts as complete."""

ENOUGH = 50.0
"""Below this coverage [%] nothing is scaled up: the value is missing (CalTRACK 2.2)."""

_INCOMPLETE = int(IntervalFlag.INCOMPLETE)
_ESTIMATED = int(IntervalFlag.ESTIMATED)
_ROLLOVER = int(IntervalFlag.ROLLOVER)
_RESET = int(IntervalFlag.RESET)


@dataclass(frozen=True, slots=True)
class Columns:
    """Intervals as columns of one length n; the meaning is that of the store's `Intervals`.

    start: UTC ns. mean, min, max: unit of the point. delta: a counter's advance. NaN where missing. count:
    samples seen. completeness: 0-100 %. flags: bits of `IntervalFlag`.
    """

    start: Instants
    mean: Floats
    min: Floats
    max: Floats
    delta: Floats
    count: Floats
    completeness: Floats
    flags: Flags

    def __len__(self) -> int:
        return len(self.start)


def gauge_intervals(time: Instants, value: Floats, edges: Instants, hold_ns: int) -> Columns:
    """Time-weighted mean, minimum and maximum of a held value.

    time: ascending, shape (m,); value: NaN where a sample is bad (it ends the hold). The sample that still
    holds at the first edge may precede it. Mean is over the covered part, missing where nothing is covered.
    """
    mean, low, high, count, covered = _hold(time, value, edges, hold_ns)
    completeness = _percent(covered, edges)
    flags = np.where(completeness < COMPLETE, _INCOMPLETE, 0).astype(np.uint16)
    nothing = np.full(len(mean), np.nan)
    return Columns(edges[:-1], mean, low, high, nothing, count, completeness, flags)


def counter_intervals(
    time: Instants,
    reading: Floats,
    edges: Instants,
    hold_ns: int,
    modulus: float | None = None,
    max_rate: float | None = None,
) -> Columns:
    """A register's advance in each interval, edges interpolated between the samples around them.

    time, reading: as for `gauge_intervals`. min and max are the register at the ends of what was seen. Across
    a gap longer than the hold the advance is known as a whole and spread evenly: completeness falls and
    ESTIMATED is set. With a reset inside, the advance is missing. Where the register is known for only part
    of the interval (first and last ones) it is scaled up from 50 % on (ESTIMATED below 99.5 %), else
    missing.
    """
    good = ~np.isnan(reading)
    stamps, registers = (time, reading) if good.all() else (time[good], reading[good])
    total, epoch, step = unwrap(stamps, registers, modulus or 0.0, max_rate or 0.0)
    delta, low, high, count, covered, known, flags = _advance(
        stamps, registers, total, epoch, step, edges, hold_ns
    )
    completeness = _percent(covered, edges)
    known_share = _percent(known, edges)
    partly = (known_share < 100.0) & (known_share >= ENOUGH)
    with np.errstate(invalid="ignore", divide="ignore"):
        delta = np.where(partly, delta * 100.0 / known_share, delta)
    delta[(known_share < ENOUGH) | (flags & _RESET > 0)] = np.nan
    flags[partly & (known_share < COMPLETE)] |= _ESTIMATED
    flags[completeness < COMPLETE] |= _INCOMPLETE
    nothing = np.full(len(delta), np.nan)
    return Columns(edges[:-1], nothing, low, high, delta, count, completeness, flags)


def roll_up(fine: Columns, fine_ns: int, edges: Instants) -> Columns:
    """Coarser intervals from finer ones of constant length `fine_ns`.

    The mean is weighted by coverage. A missing part of an advance is scaled up by the mean of the rest while
    at least 50 % is there (ESTIMATED), else the advance is missing: CalTRACK 2.2. Intervals of `fine` that
    are absent count as missing.
    """
    mean, low, high, delta, count, completeness, flags = _roll(
        fine.start,
        fine.mean,
        fine.min,
        fine.max,
        fine.delta,
        fine.count,
        fine.completeness,
        fine.flags,
        fine_ns,
        edges,
    )
    return Columns(edges[:-1], mean, low, high, delta, count, completeness, flags)


def _percent(covered: Instants, edges: Instants) -> Floats:
    return np.asarray(100.0 * covered / np.maximum(np.diff(edges), 1), np.float64)


@kernel
def _hold(
    time: Instants, value: Floats, edges: Instants, hold_ns: int
) -> tuple[Floats, Floats, Floats, Floats, Instants]:
    n, m = len(edges) - 1, len(time)
    total = np.zeros(n)
    low = np.full(n, np.nan)
    high = np.full(n, np.nan)
    count = np.zeros(n)
    covered = np.zeros(n, np.int64)
    first = 0
    for j in range(m):
        v = value[j]
        if np.isnan(v):
            continue
        end = time[j] + hold_ns
        if j + 1 < m and time[j + 1] < end:
            end = time[j + 1]
        while first < n and edges[first + 1] <= time[j]:
            first += 1
        i = first
        if i < n and time[j] >= edges[i]:
            count[i] += 1.0
        while i < n and edges[i] < end:
            span = min(end, edges[i + 1]) - max(time[j], edges[i])
            if span > 0:
                total[i] += v * span
                covered[i] += span
            if not low[i] <= v:
                low[i] = v
            if not high[i] >= v:
                high[i] = v
            i += 1
    mean = np.full(n, np.nan)
    for i in range(n):
        if covered[i] > 0:
            mean[i] = total[i] / covered[i]
    return mean, low, high, count, covered


@kernel
def _advance(
    time: Instants,
    reading: Floats,
    total: Floats,
    epoch: NDArray[np.int64],
    step: NDArray[np.uint8],
    edges: Instants,
    hold_ns: int,
) -> tuple[Floats, Floats, Floats, Floats, Instants, Instants, Flags]:
    """Walk the segments between samples once; each shares its advance among the intervals it spans."""
    n, m = len(edges) - 1, len(time)
    delta = np.zeros(n)
    low = np.full(n, np.nan)
    high = np.full(n, np.nan)
    count = np.zeros(n)
    covered = np.zeros(n, np.int64)
    known = np.zeros(n, np.int64)
    flags = np.zeros(n, np.uint16)
    first = 0
    for j in range(m):
        while first < n and edges[first + 1] <= time[j]:
            first += 1
        if first < n and time[j] >= edges[first]:
            count[first] += 1.0
            if not low[first] <= reading[j]:
                low[first] = reading[j]
            if not high[first] >= reading[j]:
                high[first] = reading[j]
        if j + 1 == m:
            break
        length = time[j + 1] - time[j]
        i = first
        while i < n and edges[i] < time[j + 1]:
            span = min(time[j + 1], edges[i + 1]) - max(time[j], edges[i])
            if span > 0:
                if step[j + 1] == STEP_RESET:
                    flags[i] |= np.uint16(_RESET)
                else:
                    delta[i] += (total[j + 1] - total[j]) * (span / length)
                    known[i] += span
                    if length <= hold_ns:
                        covered[i] += span
                    else:
                        flags[i] |= np.uint16(_ESTIMATED)
                    if step[j + 1] == STEP_ROLLOVER:
                        flags[i] |= np.uint16(_ROLLOVER)
            i += 1
    return delta, low, high, count, covered, known, flags


@kernel
def _roll(
    start: Instants,
    mean: Floats,
    low: Floats,
    high: Floats,
    delta: Floats,
    count: Floats,
    completeness: Floats,
    flags: Flags,
    fine_ns: int,
    edges: Instants,
) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats, Flags]:
    n, m = len(edges) - 1, len(start)
    out_mean = np.full(n, np.nan)
    out_low = np.full(n, np.nan)
    out_high = np.full(n, np.nan)
    out_delta = np.full(n, np.nan)
    out_count = np.zeros(n)
    out_complete = np.zeros(n)
    out_flags = np.zeros(n, np.uint16)
    j = 0
    for i in range(n):
        expected = max(1, (edges[i + 1] - edges[i]) // fine_ns)
        weight, weighted, advance, advances, covered = 0.0, 0.0, 0.0, 0, 0.0
        while j < m and start[j] < edges[i]:
            j += 1
        while j < m and start[j] < edges[i + 1]:
            covered += completeness[j]
            out_count[i] += count[j]
            out_flags[i] |= flags[j]
            if not np.isnan(mean[j]):
                weight += completeness[j]
                weighted += mean[j] * completeness[j]
            if not np.isnan(delta[j]):
                advance += delta[j]
                advances += 1
            if not np.isnan(low[j]) and not out_low[i] <= low[j]:
                out_low[i] = low[j]
            if not np.isnan(high[j]) and not out_high[i] >= high[j]:
                out_high[i] = high[j]
            j += 1
        out_complete[i] = min(100.0, covered / expected)
        if weight > 0.0:
            out_mean[i] = weighted / weight
        if 100.0 * advances >= ENOUGH * expected and advances > 0:
            out_delta[i] = advance * expected / advances if advances < expected else advance
            if advances < expected:
                out_flags[i] |= np.uint16(_ESTIMATED)
        out_flags[i] &= np.uint16(~_INCOMPLETE & 0xFFFF)
        if out_complete[i] < COMPLETE:
            out_flags[i] |= np.uint16(_INCOMPLETE)
    return out_mean, out_low, out_high, out_delta, out_count, out_complete, out_flags
