"""What values of each quantity look like in buildings: the one judgement behind `read`, `scan` and `lint`.

A `Prior` is a probability density in the quantity's canonical unit. Mains voltage and frequency are narrow,
because grids are; powers and meter readings spread over decades, so they are judged by their logarithm.
The figures are an installer's expectations, not measurements; only their order of magnitude matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi, sqrt
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.units import Conversion, canonical_unit, conversion

Floats = NDArray[np.float64]

_LN10: Final = float(np.log(10.0))


@dataclass(frozen=True, slots=True)
class Spread:
    """Magnitudes spread over decades: log10 is normal about `median` with `decades` as deviation."""

    median: float
    decades: float

    def density(self, value: Floats) -> Floats:
        size = np.maximum(np.abs(value), 1e-300)
        z = (np.log10(size) - np.log10(self.median)) / self.decades
        return np.asarray(np.exp(-0.5 * z * z) / (self.decades * sqrt(2 * pi) * _LN10 * size))


@dataclass(frozen=True, slots=True)
class Around:
    """Values near one figure, on either side of it."""

    mean: float
    deviation: float

    def density(self, value: Floats) -> Floats:
        z = (value - self.mean) / self.deviation
        return np.asarray(np.exp(-0.5 * z * z) / (self.deviation * sqrt(2 * pi)))


@dataclass(frozen=True, slots=True)
class Prior:
    """zero: share of exact noughts. negative: share of negative values among the spread ones."""

    shapes: tuple[tuple[float, Spread | Around], ...]
    zero: float = 0.02
    negative: float = 0.0005

    def density(self, value: Floats) -> Floats:
        """Probability density [1 / canonical unit]; noughts are judged by `zero`, not here."""
        total = np.zeros_like(value)
        for weight, shape in self.shapes:
            part = weight * shape.density(value)
            if isinstance(shape, Spread):
                part *= np.where(value < 0, self.negative, 1 - self.negative)
            total += part
        return (1 - self.zero) * total


def _spread(median: float, decades: float, zero: float = 0.05, negative: float = 0.0005) -> Prior:
    return Prior(((1.0, Spread(median, decades)),), zero, negative)


_ENERGY: Final = _spread(2e4, 1.6)
_POWER: Final = _spread(10, 1.2, 0.1, 0.15)
_VOLUME: Final = _spread(2e3, 1.4)

PRIORS: Final[Mapping[str, Prior]] = MappingProxyType(
    {
        "electric_energy": _ENERGY,
        "reactive_energy": _ENERGY,
        "apparent_energy": _ENERGY,
        "heat_energy": _ENERGY,
        "gas_energy": _ENERGY,
        "electric_power": _POWER,
        "reactive_power": _spread(3, 1.2, 0.1, 0.4),
        "apparent_power": _spread(10, 1.2, 0.1),
        "heat_power": _POWER,
        "voltage": Prior(
            (
                (0.6, Around(230, 10)), (0.25, Around(400, 17)), (0.04, Around(120, 6)),
                (0.03, Around(690, 25)), (0.08, Spread(400, 0.8)),
            )
        ),
        "current": _spread(12, 0.9, 0.1, 0.05),
        "frequency": Prior(((0.85, Around(50, 0.1)), (0.1, Around(60, 0.1)), (0.05, Spread(50, 0.3)))),
        "power_factor": Prior(((0.8, Around(0.92, 0.08)), (0.2, Around(0.0, 0.6)))),
        "temperature": Prior(((0.5, Around(21.5, 4)), (0.45, Around(25, 20)), (0.05, Spread(30, 0.5)))),
        "temperature_difference": Prior(((1.0, Around(6, 5)),), 0.05),
        "humidity": Prior(((0.9, Around(45, 14)), (0.1, Spread(45, 0.4)))),
        "percentage": Prior(((1.0, Around(50, 32)),), 0.2),
        "co2": Prior(((0.95, Around(620, 220)), (0.05, Spread(700, 0.3)))),
        "water_volume": _VOLUME,
        "gas_volume": _VOLUME,
        "water_flow": _spread(1, 0.9, 0.3),
        "gas_flow": _spread(5, 1.0, 0.3),
        "air_flow": _spread(1000, 0.8, 0.1),
        "pressure": Prior(((0.5, Spread(2e5, 0.4)), (0.5, Spread(200, 0.6))), 0.05, 0.05),
        "occupancy": _spread(8, 0.7, 0.3),
        "illuminance": _spread(300, 0.7, 0.2),
        "irradiance": _spread(300, 0.5, 0.4),
        "state": Prior(((0.9, Around(1, 0.3)), (0.1, Spread(3, 0.4))), 0.5),
    }
)  # fmt: skip
"""By quantity. A quantity that is not here is judged by `ANYTHING`."""

ANYTHING: Final = _spread(100, 2.0, 0.1, 0.05)

UNITS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "electric_energy": {"kWh": 0.6, "Wh": 0.37, "MWh": 0.03},
        "reactive_energy": {"kvarh": 0.6, "varh": 0.4},
        "apparent_energy": {"kVAh": 0.6, "VAh": 0.4},
        "heat_energy": {"kWh": 0.6, "MWh": 0.2, "Wh": 0.1, "GJ": 0.1},
        "electric_power": {"W": 0.55, "kW": 0.44, "MW": 0.01},
        "reactive_power": {"var": 0.55, "kvar": 0.45},
        "apparent_power": {"VA": 0.55, "kVA": 0.45},
        "heat_power": {"kW": 0.6, "W": 0.4},
        "voltage": {"V": 0.97, "kV": 0.02, "mV": 0.01},
        "current": {"A": 0.94, "mA": 0.06},
        "frequency": {"Hz": 0.99, "mHz": 0.01},
        "temperature": {"degC": 0.95, "degF": 0.03, "K": 0.02},
        "water_volume": {"m3": 0.75, "L": 0.25},
        "gas_volume": {"m3": 0.9, "L": 0.1},
        "water_flow": {"m3/h": 0.6, "L/h": 0.2, "L/min": 0.1, "L/s": 0.1},
        "pressure": {"Pa": 0.4, "kPa": 0.2, "bar": 0.25, "mbar": 0.15},
    }
)
"""The units in which devices say a quantity, with their shares; else the canonical one."""

COMMON: Final[Mapping[str, float]] = MappingProxyType(
    {
        "electric_energy": 0.25, "electric_power": 0.25, "voltage": 0.15, "current": 0.12, "frequency": 0.08,
        "temperature": 0.08, "power_factor": 0.03, "water_volume": 0.04,
    }
)  # fmt: skip
"""What an unknown register may be, with its share."""

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "power": "electric_power", "energy": "electric_energy", "heat": "heat_energy",
        "volume": "water_volume", "water": "water_volume", "gas": "gas_volume", "flow": "water_flow",
        "percent": "percentage",
        "pf": "power_factor", "cosphi": "power_factor", "temp": "temperature", "people": "occupancy",
    }
)  # fmt: skip
"""Short words for quantities, as an installer types them."""


def quantity_named(word: str) -> str:
    """The quantity that a hint means. Raises drivers.units.UnknownQuantity, which suggests the nearest."""
    name = ALIASES.get(word, word)
    canonical_unit(name)
    return name


def prior_of(quantity: str) -> Prior:
    return PRIORS.get(quantity, ANYTHING)


def units_of(quantity: str) -> list[tuple[str, float, Conversion]]:
    """Units a device may use for a quantity: name, share, way to the canonical unit."""
    canonical = canonical_unit(quantity)
    shares = UNITS.get(quantity, {canonical: 1.0})
    return [(unit, share, conversion(unit, canonical)) for unit, share in shares.items()]


def plausibility(quantity: str, value: float) -> float:
    """How well a value [canonical unit] suits a quantity: log10 of its density against the best there is.

    0 is typical, -2 a hundredth as likely, below about -6 absurd. A nought gets what its share allows.
    """
    prior = prior_of(quantity)
    peak = max(_peak(weight, shape) for weight, shape in prior.shapes)
    if value == 0:
        return float(np.log10(max(prior.zero, 1e-9)))
    here = float(prior.density(np.array([value], np.float64))[0])
    scale = max(abs(value), 1e-12)
    # Spread shapes are compared a decade at a time: their density in the plain unit falls with the value.
    best = max(peak / scale if isinstance(s, Spread) else _peak(w, s) for w, s in prior.shapes)
    return float(min(0.0, np.log10(max(here, 1e-300)) - np.log10(best)))


def _peak(weight: float, shape: Spread | Around) -> float:
    """The highest density of a shape: of a spread one, by ratio (density x value)."""
    if isinstance(shape, Spread):
        return weight / (shape.decades * sqrt(2 * pi) * _LN10)
    return weight / (shape.deviation * sqrt(2 * pi))
