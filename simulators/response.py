"""What written setpoints do to the building: a first-order response on top of the pure function.

A zone follows its written setpoint with the time constant of its air and walls; a written supply setpoint
moves the supply air within minutes and, in part, the zones. Where nothing was written nothing is added, so
that the past and the meters stay what they are. The same writes at the same times give the same temperatures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from simulators.base import ValueAt
from simulators.noise import EPOCH_S, STEP_NS
from simulators.rooms import ZONES

ZONE_TAU_S: Final = 5400.0
SUPPLY_TAU_S: Final = 180.0
SUPPLY_TO_ZONE: Final = 0.3
"""Kelvin in the zone for each kelvin of supply air."""
SETPOINTS: Final = {**dict.fromkeys(ZONES, "setpoint"), "ahu-1": "supply_temp_sp"}
_EPOCH_NS: Final = EPOCH_S * 1_000_000_000

Pure = Callable[[str, str, int], float]
"""The building without writes: device, point, UTC ns -> value."""


@dataclass(slots=True)
class _Setpoint:
    """One setpoint's writes: (UTC ns, value; None gave it back), in order of time."""

    own: ValueAt
    writes: list[tuple[int, float | None]] = field(default_factory=list)

    def deviation(self, at_ns: int) -> float:
        """Written minus own [K]; 0 where nothing is written."""
        value = next((value for when, value in reversed(self.writes) if when <= at_ns), None)
        return 0.0 if value is None else value - self.own(at_ns)


@dataclass(slots=True)
class _Lag:
    """A first-order lag behind deviations that are constant between quarter-hours and writes."""

    tau_s: float
    inputs: Sequence[tuple[_Setpoint, float]]
    reached: tuple[int, float] = (0, 0.0)
    """UTC ns of a quarter-hour, and the shift then: where the next look goes on."""

    def shift(self, at_ns: int) -> float:
        edges = sorted(when for setpoint, _ in self.inputs for when, _ in setpoint.writes)
        if not edges or at_ns <= edges[0]:
            return 0.0
        at, shift = self.reached if edges[0] <= self.reached[0] <= at_ns else (edges[0], 0.0)
        while at < at_ns:
            quarter = at - (at - _EPOCH_NS) % STEP_NS + STEP_NS
            until = min([quarter, at_ns, *(edge for edge in edges if edge > at)])
            target = sum(gain * setpoint.deviation(at) for setpoint, gain in self.inputs)
            shift = target + (shift - target) * math.exp(-(until - at) / 1e9 / self.tau_s)
            at = until
            if at == quarter:
                self.reached = (at, shift)
        return shift


class Response:
    """Every setpoint that can be written, and the temperatures that follow."""

    def __init__(self, pure: Pure) -> None:
        def own(device: str, point: str) -> ValueAt:
            return lambda at_ns: pure(device, point, at_ns)

        self._setpoints = {device: _Setpoint(own(device, point)) for device, point in SETPOINTS.items()}
        supply = self._setpoints["ahu-1"]
        self._lags = {("ahu-1", "supply_temp"): _Lag(SUPPLY_TAU_S, [(supply, 1.0)])}
        for zone in ZONES:
            inputs = [(self._setpoints[zone], 1.0), (supply, SUPPLY_TO_ZONE)]
            self._lags[zone, "temp"] = _Lag(ZONE_TAU_S, inputs)

    def write(self, device: str, point: str, value: float | None, at_ns: int) -> None:
        """A setpoint was commanded; None: it was given back. Others move nothing."""
        if SETPOINTS.get(device) == point:
            self._setpoints[device].writes.append((at_ns, value))
            for lag in self._lags.values():
                lag.reached = (0, 0.0)

    def shift(self, device: str, point: str, at_ns: int) -> float:
        """What the writes add to a reading at that time [K]."""
        lag = self._lags.get((device, point))
        return lag.shift(at_ns) if lag else 0.0
