"""Which template a Modbus unit answers to: every template is tried, and its values must make sense. Pure.

Registers tell much by being there at all; where a device answers anything, values tell: a voltage near that
of the mains, a frequency near 50 or 60 Hz, and a power that suits voltage and current.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log10
from typing import Final

from drivers.units import canonical_unit, conversion
from gateway.installer.priors import plausibility

MISSING: Final = -3.0
"""What a register that the device refuses costs; an absurd value costs twice that at most."""
ENOUGH: Final = -0.8
"""The mean from which a match is believed."""
MARGIN: Final = 0.3
"""How much better than the next the best must be."""


@dataclass(frozen=True, slots=True)
class Match:
    """A template against what the device says. score: 0 perfect, below. answered: share of its points."""

    template: str
    score: float
    answered: float


def match(
    template: str, points: Mapping[str, Mapping[str, object]], values: Mapping[str, float | None]
) -> Match:
    """How well a template fits. points: its keys by name. values: in its units, None where absent."""
    scores = [_point(points[name], values.get(name)) for name in points]
    present = sum(values.get(name) is not None for name in points)
    mean = sum(scores) / len(scores) if scores else MISSING
    return Match(template, mean + _power_disagrees(points, values), present / len(scores) if scores else 0.0)


def best(matches: list[Match]) -> tuple[Match | None, list[Match]]:
    """The template to believe, if one stands out, and all of them from the best."""
    ordered = sorted(matches, key=lambda m: -m.score)
    if not ordered or ordered[0].score < ENOUGH or ordered[0].answered < 0.9:
        return None, ordered
    if len(ordered) > 1 and ordered[0].score - ordered[1].score < MARGIN:
        return None, ordered
    return ordered[0], ordered


def _point(keys: Mapping[str, object], value: float | None) -> float:
    if value is None or not isfinite(value):
        return MISSING
    quantity = str(keys["quantity"])
    canonical = conversion(str(keys["unit"]), canonical_unit(quantity))(value)
    if value == 0:
        return log10(0.5) if quantity not in ("voltage", "frequency") else -2.0
    return max(2 * MISSING, plausibility(quantity, canonical))


def _power_disagrees(points: Mapping[str, Mapping[str, object]], values: Mapping[str, float | None]) -> float:
    """A penalty when power is far from what voltage and current can carry, three unequal phases included."""
    found: dict[str, float] = {}
    for name, keys in points.items():
        quantity, value = str(keys["quantity"]), values.get(name)
        if value is not None and isfinite(value) and quantity in ("voltage", "current", "electric_power"):
            found.setdefault(quantity, conversion(str(keys["unit"]), canonical_unit(quantity))(value))
    if len(found) < 3 or 0 in found.values():
        return 0.0
    apparent_kva = abs(found["voltage"] * found["current"]) / 1e3
    ratio = abs(found["electric_power"]) / apparent_kva
    return 0.0 if 0.01 < ratio < 20 else -1.0
