"""What makes a point suspicious after watching it for a while: one small rule each. Pure.

A finding is a doubt, not a proof: a meter on an idle line is constant, and rightly so. Each says what was
seen and what to do about it; thresholds are set so that a healthy building gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from drivers.base import Kind
from drivers.modbus.settings import PointSettings as ModbusPoint
from drivers.modbus.types import REGISTER_TYPES, RegisterType
from gateway.installer.decodes import rank
from gateway.installer.naming import measured_by_name
from gateway.installer.priors import plausibility, units_of
from gateway.site import PointSpec

LIVELY: Final = frozenset(
    {"electric_power", "apparent_power", "current", "voltage", "frequency", "heat_power"}
)
"""Quantities whose last digits never rest while there is any load."""
ENOUGH_LOOKS: Final = 4
ABSURD: Final = -4.0
TYPICAL: Final = -1.2
"""Plausibilities (log10): below the one a value is doubted, above the other a remedy is believed."""
_GROWN: Final = 1000.0
"""A counter below this is young: a tenth more may be true."""
NARROW: Final = {"voltage": -2.0, "frequency": -2.0, "temperature": -3.0}
"""Quantities that are doubted sooner."""
FAR_MORE: Final = 1000.0
"""How many times likelier another word order must be."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A point and what it said. values: canonical unit, None where it gave none, limits not applied.

    raw: the newest bytes as hex. fault: why there is no value at all.
    """

    spec: PointSpec
    values: tuple[float | None, ...]
    raw: str = ""
    fault: str = ""

    @property
    def seen(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def name(self) -> str:
        return f"{self.spec.device}/{self.spec.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A doubt about a point. code: stable, for scripts. remedy: what to look at or to write."""

    code: str
    device: str
    point: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.device}/{self.point}: {self.message}; {self.remedy} [{self.code}]"


def lint(watched: Sequence[Watched]) -> list[Finding]:
    """Everything suspicious, by point in the order given; at most one finding explains a wrong value."""
    findings = [finding for point in watched for finding in _of_point(point)]
    findings += _frozen_devices(watched)
    frozen = {finding.device for finding in findings if finding.code == "frozen"}
    findings = [f for f in findings if not (f.code == "constant" and f.device in frozen)]
    findings += _duplicates(watched)
    order = {point.spec.key: index for index, point in enumerate(watched)}
    return sorted(findings, key=lambda f: order[f.device, f.point])


def _of_point(point: Watched) -> Iterator[Finding]:
    if not point.seen:
        yield _finding(point, "no-value", f"it gave no value ({point.fault or 'unknown reason'})",
                       "compare its address and the device's with the manual")  # fmt: skip
        return
    if (wrong := _wrong_value(point)) is not None:
        yield wrong
    for rule in _RULES:
        if (found := rule(point)) is not None:
            yield found


def _wrong_value(point: Watched) -> Finding | None:
    """The likeliest reason for an absurd value: word order, then scale, then the limits alone."""
    return _wrong_order(point) or _wrong_scale(point) or _outside(point) or _absurd(point)


def _wrong_order(point: Watched) -> Finding | None:
    source, digits = point.spec.source, point.raw.replace(" ", "")
    if not isinstance(source, ModbusPoint) or source.decoded_type is RegisterType.BIT:
        return None
    size = REGISTER_TYPES[source.decoded_type].words if source.decoded_type in REGISTER_TYPES else 0
    if size < 2 or len(digits) != 4 * size:
        return None
    words = [int(digits[at : at + 4], 16) for at in range(0, len(digits), 4)]
    usual = {name for name, *_ in units_of(point.spec.quantity)}
    unit = point.spec.source_unit if point.spec.source_unit in usual else None
    decodes = [d for d in rank(words, 0, point.spec.quantity, unit=unit) if d.shift == 0]
    as_read = f"{source.decoded_type} {source.order}"
    now = next((d for d in decodes if as_read in (d.name, *d.same)), None)
    best = next((d for d in decodes if d.type in REGISTER_TYPES and _words(d.type) == size), None)
    if best is None or best is now or best.probability < FAR_MORE * (now.probability if now else 0.0):
        return None
    value = best.number * source.scale + source.offset
    canonical = value * point.spec.factor + point.spec.offset
    if plausibility(point.spec.quantity, canonical) < TYPICAL:
        return None
    return _finding(
        point, "wrong-order",
        f"{point.seen[-1]:g} {point.spec.unit} is implausible; as {best.name} it is "
        f"{canonical:g} {point.spec.unit}",
        f"write type: {best.type}, order: {best.order}",
    )  # fmt: skip


def _words(kind: RegisterType) -> int:
    return REGISTER_TYPES[kind].words


def _wrong_scale(point: Watched) -> Finding | None:
    value = point.seen[-1]
    doubted = NARROW.get(point.spec.quantity, ABSURD)
    if value == 0 or plausibility(point.spec.quantity, value) > doubted:
        return None
    factors = (0.1, 0.01, 0.001, 10.0, 100.0, 1000.0)
    rated = [(plausibility(point.spec.quantity, value * f), f) for f in factors]
    score, factor = max(rated)
    if score < TYPICAL:
        return None
    return _finding(
        point, "wrong-scale",
        f"{value:g} {point.spec.unit} is implausible; times {factor:g} it is "
        f"{value * factor:g} {point.spec.unit}",
        f"multiply its scale (or factor) by {factor:g}, or correct its unit '{point.spec.source_unit}'",
    )  # fmt: skip


def _outside(point: Watched) -> Finding | None:
    low, high = point.spec.low, point.spec.high
    wrong = [v for v in point.seen if (low is not None and v < low) or (high is not None and v > high)]
    if not wrong:
        return None
    limits = f"{'-' if low is None else f'{low:g}'} to {'-' if high is None else f'{high:g}'}"
    return _finding(
        point, "out-of-nameplate", f"{wrong[-1]:g} {point.spec.unit} is outside {limits}",
        "correct the reading, or its low and high",
    )  # fmt: skip


def _absurd(point: Watched) -> Finding | None:
    value = point.seen[-1]
    if point.spec.quantity not in ("voltage", "frequency", "temperature", "humidity", "co2", "percentage"):
        return None
    if plausibility(point.spec.quantity, value) > 1.5 * ABSURD:
        return None
    return _finding(
        point, "implausible", f"{value:g} {point.spec.unit} is no usual {point.spec.quantity}",
        "compare it with the device's display; `heyzack read` shows other decodes",
    )  # fmt: skip


def _counter_down(point: Watched) -> Finding | None:
    if point.spec.kind is not Kind.COUNTER:
        return None
    drops = [(a, b) for a, b in pairwise(point.seen) if b < a]
    if not drops:
        return None
    before, after = drops[-1]
    return _finding(
        point, "counter-down", f"a counter went down from {before:g} to {after:g} {point.spec.unit}",
        "if it is a net or signed register, take import and export apart; else check type and order",
    )  # fmt: skip


def _jumps(point: Watched) -> Finding | None:
    """Within a watch no meter gains a tenth of what it has gained in its life."""
    values = point.seen
    if point.spec.kind is not Kind.COUNTER or len(values) < 2:
        return None
    if min(values) < _GROWN or values[-1] < 1.1 * values[0]:
        return None
    return _finding(
        point, "counter-jumps", f"a counter rose from {values[0]:g} to {values[-1]:g} within the watch",
        "check type, word order and scale",
    )  # fmt: skip


def _constant(point: Watched) -> Finding | None:
    values = point.seen
    if point.spec.kind is not Kind.GAUGE or point.spec.quantity not in LIVELY or len(values) < ENOUGH_LOOKS:
        return None
    if values[0] == 0 or len(set(values)) > 1:
        return None
    return _finding(
        point, "constant", f"it stayed at exactly {values[0]:g} {point.spec.unit} in {len(values)} looks",
        "check that it is a measurement, not a setting or a nameplate figure",
    )  # fmt: skip


def _counts_as_gauge(point: Watched) -> Finding | None:
    """A 'power' that only creeps upward is an energy register with the wrong name."""
    values = point.seen
    if point.spec.kind is not Kind.GAUGE or not point.spec.quantity.endswith(("_power", "_flow")):
        return None
    steps = [b - a for a, b in pairwise(values)]
    rises = [step for step in steps if step > 0]
    if len(values) < 6 or min(steps) < 0 or len(rises) < 4 or max(rises) > 1e-3 * abs(values[-1]):
        return None
    return _finding(
        point, "looks-like-counter", f"a {point.spec.quantity} that only creeps up ({values[-1]:g})",
        "if it is a meter reading, give it its energy or volume quantity",
    )  # fmt: skip


def _name_says_otherwise(point: Watched) -> Finding | None:
    told = measured_by_name(point.spec.name)
    if told is None or point.spec.kind not in (Kind.GAUGE, Kind.COUNTER):
        return None
    unit, quantity = told
    family = quantity.rpartition("_")[2] or quantity
    if quantity == point.spec.quantity or point.spec.quantity.rpartition("_")[2] == family:
        return None
    if quantity == "temperature" and point.spec.quantity == "temperature_difference":
        return None
    return _finding(
        point, "unit-mismatch", f"it is called '{point.spec.name}' but is configured as a "
        f"{point.spec.quantity} in {point.spec.source_unit}",
        f"give it quantity: {quantity} with its unit (such as {unit}), or another name",
    )  # fmt: skip


_RULES: Final[tuple[Callable[[Watched], Finding | None], ...]] = (
    _counter_down, _jumps, _constant, _counts_as_gauge, _name_says_otherwise,
)  # fmt: skip


def _frozen_devices(watched: Sequence[Watched]) -> list[Finding]:
    """Devices of which nothing moved, though several points should."""
    by_device: dict[str, list[Watched]] = {}
    for point in watched:
        if point.spec.kind is Kind.GAUGE and point.spec.quantity in LIVELY and any(point.seen):
            by_device.setdefault(point.spec.device, []).append(point)
    found = []
    for points in by_device.values():
        looks = [len(point.seen) for point in points]
        if len(points) >= 3 and min(looks) >= ENOUGH_LOOKS and all(len(set(p.seen)) == 1 for p in points):
            found.append(
                _finding(points[0], "frozen", f"none of the device's {len(points)} lively points moved",
                         "restart the device or its gateway: it may repeat its last answer")
            )  # fmt: skip
    return found


def _duplicates(watched: Sequence[Watched]) -> list[Finding]:
    """Points of one device that say the same digit for digit, every time.

    Two meters on one grid rightly agree in its voltage and frequency, so devices are not compared.
    """
    first: dict[tuple[str, str, tuple[float, ...]], Watched] = {}
    found = []
    for point in watched:
        values = tuple(point.seen)
        digits = max((len(f"{abs(v):.9g}".replace(".", "").strip("0")) for v in values if v), default=0)
        if point.spec.kind not in (Kind.GAUGE, Kind.COUNTER) or digits < 5 or len(values) < 2:
            continue
        other = first.setdefault((point.spec.device, point.spec.quantity, values), point)
        if other is not point:
            found.append(
                _finding(point, "duplicate", f"it says the same as {other.name} in {len(values)} looks",
                         "one of the two has the other's address; if both are meant, drop one")
            )  # fmt: skip
    return found


def _finding(point: Watched, code: str, message: str, remedy: str) -> Finding:
    return Finding(code, point.spec.device, point.spec.name, message, remedy)
