"""Any device template as a device on the wire, with plausible values that move.

Powers follow a working day, registers are their integral, everything else wanders around what its quantity
usually is. All of it is a function of (seed, point, time): the same seed shows the same at the same time.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import configs
from drivers.base import Now
from drivers.modbus.settings import PointSettings
from drivers.modbus.types import REGISTER_TYPES, RegisterType
from drivers.templates import Template, find_templates, load_template
from simulators.base import ServedPoint, ValueAt

TEMPLATES: Final = Path(configs.__file__).parent / "templates"
_HOUR_NS: Final = 3_600_000_000_000
_EPOCH_NS: Final = 1_704_067_200_000_000_000
"""2024-01-01: when the registers were nought."""
_USUAL: Final = {
    "voltage": (230.0, 0.01), "frequency": (50.0, 0.0005), "current": (40.0, 0.3),
    "temperature": (21.0, 0.05), "humidity": (45.0, 0.1), "co2": (600.0, 0.2),
    "percentage": (50.0, 0.3), "power_factor": (0.95, 0.02),
    "pressure": (200.0, 0.1), "water_flow": (1.5, 0.5), "illuminance": (400.0, 0.3), "state": (1.0, 0.0),
}  # fmt: skip
"""Quantity -> canonical value around which it moves, and by which share."""
_PER_UNIT: Final = {
    "W": 1e3, "Wh": 1e3, "MWh": 1e-3, "MW": 1e-3, "var": 1e3, "varh": 1e3, "VA": 1e3, "VAh": 1e3, "mV": 1e3,
    "kV": 1e-3, "mA": 1e3, "degF": 1.8, "L": 1e3, "L/h": 1e3,
}  # fmt: skip
"""How many of the unit make one of the canonical unit."""


class ModelError(ValueError):
    """There is no such template, or it cannot be simulated; the message says what can."""


def find_model(name: str) -> Template:
    """A template by its name. Raises ModelError, TemplateError."""
    known = find_templates(TEMPLATES)
    if name not in known:
        raise ModelError(f"there is no template '{name}'; there are {', '.join(sorted(known))}")
    template = load_template(known[name])
    if template.driver != "modbus":
        raise ModelError(f"{name} is for {template.driver}; only Modbus devices are simulated by name")
    return template


def model_points(template: Template, seed: int) -> list[ServedPoint]:
    """Every point of the template, with values a device of its kind might show, in the device's unit."""
    return [
        ServedPoint(name, template.settings[name], _value(template, name, keys, seed), str(keys["unit"]))
        for name, keys in template.points.items()
    ]


def sped_up(now: Now, speed: float) -> Now:
    """A clock that shows the same as `now` when it is made, and runs `speed` times as fast."""
    began = now()
    return lambda: began + round((now() - began) * speed)


def _value(template: Template, name: str, keys: Any, seed: int) -> ValueAt:
    phase = zlib.crc32(f"{seed}/{template.name}/{name}".encode()) / 2**32
    quantity, unit = str(keys["quantity"]), str(keys["unit"])
    factor = _PER_UNIT.get(unit, 1.0)
    limit = _largest(template.settings[name]) / 2
    if quantity.endswith(("_energy", "_volume")) or keys.get("kind") == "counter":
        idle = "export" in name or "reactive" in name
        return lambda at: 0.0 if idle else (_energy(at, phase) * factor) % limit
    if quantity.endswith("_power"):
        return lambda at: min(_power(at, phase) * factor, limit)
    middle, share = _USUAL.get(quantity, (10.0, 0.2))
    return lambda at: min(middle * factor * (1 + share * _wander(at, phase)), limit)


def _power(at_ns: int, phase: float) -> float:
    """5 to 35 kW over the day, with a ripple."""
    day, ripple = 2 * math.pi * (at_ns / _HOUR_NS / 24 - 0.35), 2 * math.pi * (at_ns / _HOUR_NS * 4 + phase)
    return (20.0 + 12.0 * math.sin(day) + 3.0 * math.sin(ripple)) * (0.6 + 0.8 * phase)


def _energy(at_ns: int, phase: float) -> float:
    """The integral of `_power` since 2024 [kWh]."""

    def integral(hours: float) -> float:
        day, ripple = 2 * math.pi * (hours / 24 - 0.35), 2 * math.pi * (hours * 4 + phase)
        waves = 12.0 * 24 * math.cos(day) + 3.0 / 4 * math.cos(ripple)
        return 20.0 * (hours - _EPOCH_NS / _HOUR_NS) - waves / (2 * math.pi)

    return (integral(at_ns / _HOUR_NS) - integral(_EPOCH_NS / _HOUR_NS)) * (0.6 + 0.8 * phase)


def _wander(at_ns: int, phase: float) -> float:
    hours = at_ns / _HOUR_NS
    return 0.7 * math.sin(2 * math.pi * (hours + phase)) + 0.3 * math.sin(2 * math.pi * (7 * hours - phase))


def _largest(settings: Any) -> float:
    """What the register can show at most, in the device's unit."""
    if not isinstance(settings, PointSettings) or settings.decoded_type is RegisterType.BIT:
        return math.inf
    layout = REGISTER_TYPES[settings.decoded_type]
    if layout.is_float:
        return math.inf
    return float(2 ** (16 * layout.words - layout.is_signed) - 2) * abs(settings.scale)


def units_of(names: Sequence[str], first: int) -> dict[int, str]:
    """Unit ids for templates: `name@7` has its own, the others follow each other from `first`."""
    found: dict[int, str] = {}
    following = first
    for name in names:
        model, at, number = name.partition("@")
        unit = int(number) if at and number.isdigit() else following
        if (at and not number.isdigit()) or not 0 <= unit <= 255 or unit in found:
            raise ModelError(f"'{name}': a unit id is a number from 0 to 255, each given once")
        found[unit] = model
        following = unit + 1
    return found
