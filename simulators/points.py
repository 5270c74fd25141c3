"""The points of the demo building: what each is, and how it moves within a quarter-hour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.base import Kind


class Motion(StrEnum):
    """How a point goes through a quarter-hour.

    steady: stays (states, setpoints, people). linear: from this start to the next (temperatures). ripple: a
    mean with a ripple whose integral over the quarter-hour is nought (powers, flows). register: the exact
    integral of the rippling rate of the same name in `Building`.
    """

    STEADY = "steady"
    LINEAR = "linear"
    RIPPLE = "ripple"
    REGISTER = "register"


@dataclass(frozen=True, slots=True)
class BuildingPoint:
    """One point, in its canonical unit. column: what it shows of the building's state."""

    device: str
    name: str
    quantity: str
    unit: str
    kind: Kind
    motion: Motion
    column: tuple[str, str]
    wobble: float = 0.0
    """Linear points: how much of the ripple is added [unit per unit of ripple]."""
    in_past: bool = False
    """KPIs need its history, so the demo imports it."""

    @property
    def key(self) -> tuple[str, str]:
        return (self.device, self.name)


NOTHING = "nothing"
"""The rate of a register that never moves: a load exports nothing."""


def _register(device: str, name: str, quantity: str, unit: str, rate: str) -> BuildingPoint:
    return BuildingPoint(
        device, name, quantity, unit, Kind.COUNTER, Motion.REGISTER, ("rate", rate), in_past=rate != NOTHING
    )


def _meter(device: str, imported: str, exported: str, power: str) -> list[BuildingPoint]:
    def gauge(
        name: str, quantity: str, unit: str, motion: Motion, column: str, wobble: float = 0.0
    ) -> BuildingPoint:
        return BuildingPoint(device, name, quantity, unit, Kind.GAUGE, motion, ("rate", column), wobble)

    return [
        _register(device, "energy_import", "electric_energy", "kWh", imported),
        _register(device, "energy_export", "electric_energy", "kWh", exported),
        gauge("power", "electric_power", "kW", Motion.RIPPLE, power),
        gauge("voltage_l1", "voltage", "V", Motion.LINEAR, "voltage", 12.0),
        gauge("current_l1", "current", "A", Motion.RIPPLE, f"{power}-current"),
        gauge("frequency", "frequency", "Hz", Motion.LINEAR, "frequency", 0.4),
    ]


def _state(device: str, name: str, quantity: str, unit: str, motion: Motion, kind: Kind = Kind.GAUGE,
           wobble: float = 0.0, in_past: bool = False) -> BuildingPoint:  # fmt: skip
    return BuildingPoint(device, name, quantity, unit, kind, motion, (device, name), wobble, in_past)


def _zone(name: str) -> list[BuildingPoint]:
    return [
        _state(name, "temp", "temperature", "degC", Motion.LINEAR, wobble=0.6, in_past=True),
        _state(name, "setpoint", "temperature", "degC", Motion.STEADY, Kind.SETPOINT),
        _state(name, "valve", "percentage", "%", Motion.LINEAR),
        _state(name, "occupied", "state", "1", Motion.STEADY, Kind.STATE),
    ]


def _room(name: str) -> list[BuildingPoint]:
    return [
        _state(name, "temperature", "temperature", "degC", Motion.LINEAR, wobble=0.6),
        _state(name, "co2", "co2", "ppm", Motion.LINEAR, wobble=60.0),
        _state(name, "humidity", "humidity", "%", Motion.LINEAR, wobble=4.0),
        _state(name, "occupancy", "occupancy", "1", Motion.STEADY, in_past=True),
    ]


POINTS: tuple[BuildingPoint, ...] = (
    *_meter("main-meter", "imported", "exported", "net"),
    *_meter("hvac-meter", "hvac", NOTHING, "hvac"),
    *_meter("pv-meter", "pv", NOTHING, "pv"),
    _register("water-meter", "volume", "water_volume", "m3", "water"),
    BuildingPoint("water-meter", "flow", "water_flow", "m3/h", Kind.GAUGE, Motion.RIPPLE, ("rate", "water")),
    _register("gas-meter", "volume", "gas_volume", "m3", "gas"),
    _state("ahu-1", "supply_temp", "temperature", "degC", Motion.LINEAR, wobble=1.5),
    _state("ahu-1", "return_temp", "temperature", "degC", Motion.LINEAR, wobble=0.8),
    _state("ahu-1", "supply_temp_sp", "temperature", "degC", Motion.STEADY, Kind.SETPOINT),
    _state("ahu-1", "fan_command", "state", "1", Motion.STEADY, Kind.COMMAND),
    _state("ahu-1", "fan_speed", "percentage", "%", Motion.LINEAR),
    *_zone("zone-1"),
    *_zone("zone-2"),
    *_zone("zone-3"),
    _state("heat-pump", "power", "electric_power", "kW", Motion.RIPPLE),
    _state("heat-pump", "leaving_water_temp", "temperature", "degC", Motion.LINEAR, wobble=4.0),
    _state("heat-pump", "running", "state", "1", Motion.STEADY, Kind.STATE),
    *_room("room-101"),
    *_room("room-102"),
    *_room("room-103"),
    *_room("lobby"),
    BuildingPoint("roof", "temperature", "temperature", "degC", Kind.GAUGE, Motion.LINEAR,
                  ("roof", "temperature"),
                  wobble=0.8, in_past=True),
)  # fmt: skip

RATES = ("imported", "exported", "hvac", "pv", "water", "gas", NOTHING)
"""Columns that registers integrate: kW, and m3/h for water and gas."""
