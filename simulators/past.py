"""The demo building's history, for import: what a building has that was metered before it got a gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.base import Kind
from simulators.building import BLOCK, EPOCH_NS, Building
from simulators.noise import STEP_NS
from simulators.points import POINTS, BuildingPoint

Columns = Mapping[str, NDArray[np.int64] | NDArray[np.float64]]

SHOWN_QUANTITIES = frozenset({"electric_power", "water_flow", "temperature", "co2", "humidity"})
SHOWN_NS = 35 * 96 * STEP_NS

_CHUNK_NS = BLOCK * STEP_NS


def past(building: Building, start_ns: int, end_ns: int) -> Iterator[tuple[str, str, Columns]]:
    """(device, point, columns) of every point that KPIs need, in quarter-hours of [start_ns, end_ns).

    Powers, flows and room readings, which people look at in charts, follow for the last weeks only.

    Columns are `start` [UTC ns] and, for counters, `delta`; for the rest `mean`, `min` and `max`; always
    `completeness` [%]. Meters and weather come first, for savings need no more. Raises ValueError unless both
    times lie on quarter-hours.
    """
    wanted = [point for point in POINTS if point.in_past]
    core = [p for p in wanted if p.kind is Kind.COUNTER or p.device == "roof"]
    rest = [p for p in wanted if p not in core]
    shown = [p for p in POINTS if not p.in_past and p.quantity in SHOWN_QUANTITIES]
    recent_ns = max(start_ns, end_ns - SHOWN_NS)
    for group, begin_ns in ((core, start_ns), (rest, start_ns), (shown, recent_ns)):
        for point, columns in zip(group, _together(building, group, begin_ns, end_ns), strict=True):
            yield point.device, point.name, columns


def _together(
    building: Building, points: Sequence[BuildingPoint], start_ns: int, end_ns: int
) -> Iterator[Columns]:
    """Columns of several points; computed side by side, because the building keeps only a few weeks."""
    parts: list[list[Columns]] = [[] for _ in points]
    for begin, end in _chunks(start_ns, end_ns):
        for point, columns in zip(points, parts, strict=True):
            columns.append(building.intervals(point.device, point.name, begin, end))
    for point, columns in zip(points, parts, strict=True):
        names = ("delta",) if point.kind is Kind.COUNTER else ("mean", "min", "max")
        joined = {name: np.concatenate([part[name] for part in columns]) for name in ("start", *names)}
        yield {**joined, "completeness": np.full(len(joined["start"]), 100.0)}


def _chunks(start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    """The period cut where the building's own blocks end; one empty chunk when it is empty."""
    begin = start_ns
    while True:
        end = min(end_ns, EPOCH_NS + ((begin - EPOCH_NS) // _CHUNK_NS + 1) * _CHUNK_NS)
        yield begin, end
        if end >= end_ns:
            return
        begin = end
