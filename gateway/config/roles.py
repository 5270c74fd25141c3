"""Roles and zones: what KPIs and the page ask for, tied to points."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from drivers.base import Kind
from drivers.units import UnitError, canonical_unit
from gateway.config.devices import Devices, points_of
from gateway.config.errors import Place, Problems, did_you_mean, split_hint, suggest
from gateway.config.parse import parse
from gateway.config.points import COUNTERS
from gateway.config.schema import ZONE_READINGS, RoleSection, ZoneSection
from gateway.config.tree import Node
from gateway.expressions import NAME, Expression, ExpressionError
from gateway.site import PointSpec, RoleSpec, ZoneSpec

KNOWN_ROLES: Mapping[str, tuple[str, Kind]] = {
    "site.electricity.import": ("electric_energy", Kind.COUNTER),
    "site.electricity.export": ("electric_energy", Kind.COUNTER),
    "site.electricity.power": ("electric_power", Kind.GAUGE),
    "site.pv.generation": ("electric_energy", Kind.COUNTER),
    "site.gas": ("gas_energy", Kind.COUNTER),
    "site.heat": ("heat_energy", Kind.COUNTER),
    "site.cooling": ("heat_energy", Kind.COUNTER),
    "site.water": ("water_volume", Kind.COUNTER),
    "outdoor.temperature": ("temperature", Kind.GAUGE),
    "outdoor.humidity": ("humidity", Kind.GAUGE),
    "occupancy": ("occupancy", Kind.GAUGE),
}
"""Role -> its quantity and kind (docs/nomenclature.md). Others are written out with their quantity."""

READING_QUANTITY: Mapping[str, str] = {
    "temperature": "temperature", "setpoint": "temperature", "humidity": "humidity", "co2": "co2",
    "occupancy": "occupancy", "illuminance": "illuminance", "power": "electric_power",
    "energy": "electric_energy",
}  # fmt: skip
"""What a zone's reading measures."""

_ZONE_ROLE = re.compile(rf"zone\.{NAME}\.(?P<reading>[a-z0-9]+)")
_ADDITIVE = frozenset({"+", "-", "neg", "sum", "avg", "min", "max"})


@dataclass(frozen=True, slots=True)
class Directory:
    """Every point there is, and the devices that are known but have no points to offer."""

    points: Mapping[str, PointSpec]
    broken: Collection[str]
    disabled: Collection[str]

    @classmethod
    def of(cls, devices: Devices) -> Directory:
        return cls(points_of(devices), devices.broken, devices.disabled)

    def find(self, reference: str, place: Place, what: str, problems: Problems) -> PointSpec | None:
        """The point; a problem when there is none, unless its device has problems of its own."""
        point = self.points.get(reference)
        device, _, name = reference.partition("/")
        if point is not None or device in self.broken:
            return point
        if device in self.disabled:
            message = f"{what}: point '{reference}' belongs to a disabled device"
            problems.add(place, "unknown-point", message, f"enable {device}, or take the point out")
            return None
        siblings = [known for known in self.points if known.startswith(f"{device}/")]
        hint = did_you_mean(reference, self.points)
        if siblings and name not in hint:
            hint = suggest(reference, siblings, f"points of {device} are")
        message = f"{what}: point '{reference}' is unknown"
        problems.add(place, "unknown-point", message, hint or "write it as device/point")
        return None


def build_roles(node: Node | None, directory: Directory, problems: Problems) -> dict[str, RoleSpec]:
    """The `roles:` section."""
    roles: dict[str, RoleSpec] = {}
    if node is None or node.value is None:
        return roles
    if node.mapping is None:
        problems.add(
            node.place, "type", "roles: expected a mapping", "write 'role: device/point' lines below it"
        )
        return roles
    for name, child in node.mapping.items():
        spec = _role(name, child, node.keys[name], directory, problems)
        if spec is not None:
            roles[name] = spec
    return roles


def _role(name: str, node: Node, key: Place, directory: Directory, problems: Problems) -> RoleSpec | None:
    what = f"role {name}"
    meaning = _meaning(name, node, key, problems)
    written = node if node.mapping is None else (node.child("expression") or node)
    if meaning is None or written.mapping is not None:
        return None
    if written.broken:
        return None
    if not isinstance(written.value, str):
        problems.add(written.place, "type", f"{what}: expected an expression", "write device/point")
        return None
    try:
        expression = Expression.parse(written.value)
    except ExpressionError as error:
        problems.add(written.inside(error.column), "expression", f"{what}: {error.message}", error.hint)
        return None
    quantity, kind = meaning
    spec = RoleSpec(name, expression, quantity, canonical_unit(quantity), kind)
    points = []
    for reference in expression.names:
        at = written.inside(written.value.find(reference) + 1)
        point = directory.find(reference, at, what, problems)
        if point is not None and _fits(spec, point, reference, at, problems):
            points.append(point)
    return spec if len(points) == len(expression.names) else None


def _meaning(name: str, node: Node, key: Place, problems: Problems) -> tuple[str, Kind] | None:
    """The role's quantity and kind: as written, else as known by its name."""
    known = KNOWN_ROLES.get(name)
    zone = _ZONE_ROLE.fullmatch(name)
    if known is None and zone is not None and zone["reading"] in READING_QUANTITY:
        quantity = READING_QUANTITY[zone["reading"]]
        known = (quantity, Kind.COUNTER if quantity in COUNTERS else Kind.GAUGE)
    if node.mapping is None:
        if known is None:
            near = did_you_mean(name, KNOWN_ROLES)
            hint = near or "write it out: {expression: ..., quantity: ...}"
            problems.add(key, "unknown-role", f"role '{name}' is unknown", hint)
        return known
    section = parse(RoleSection, node, f"role {name}", problems)
    if section is None:
        return None
    quantity = section.quantity or (known[0] if known else "")
    try:
        canonical_unit(quantity)
    except UnitError as error:
        message, hint = (
            split_hint(str(error)) if quantity else ("key 'quantity' is missing", "add 'quantity: ...'")
        )
        problems.add(
            node.place_of(["quantity"]) if quantity else key, "quantity", f"role {name}: {message}", hint
        )
        return None
    usual = Kind.COUNTER if quantity in COUNTERS else Kind.GAUGE
    return quantity, section.kind or (known[1] if known else usual)


def _fits(role: RoleSpec, point: PointSpec, reference: str, place: Place, problems: Problems) -> bool:
    """A counting role needs counters; sums and differences must already be in the role's unit."""
    what = f"role {role.name}"
    if role.kind is Kind.COUNTER and point.kind is not Kind.COUNTER:
        message = f"{what} counts {role.unit}, but {reference} is a {point.kind} ({point.unit})"
        hint = "name a counter, such as the meter's energy or volume register"
        problems.add(place, "wrong-kind", message, hint)
        return False
    operations = {step.operation for step in role.expression.program if isinstance(step, tuple)}
    if operations <= _ADDITIVE and point.unit != role.unit:
        message = f"{what} is in {role.unit}, but {reference} is in {point.unit}"
        hint = (
            f"convert it, as in '{reference} * 10.6'"
            if role.unit == "kWh"
            else f"name a point in {role.unit}"
        )
        problems.add(place, "wrong-unit", message, hint)
        return False
    return True


def build_zones(node: Node | None, directory: Directory, problems: Problems) -> dict[str, ZoneSpec]:
    """The `zones:` section."""
    zones: dict[str, ZoneSpec] = {}
    if node is None or node.value is None:
        return zones
    if node.mapping is None:
        problems.add(node.place, "type", "zones: expected a mapping", "write 'name: {...}' lines below it")
        return zones
    for name, child in node.mapping.items():
        section = parse(ZoneSection, child, f"zone {name}", problems)
        if section is None:
            continue
        readings = {
            reading: text for reading in ZONE_READINGS if (text := getattr(section, reading)) is not None
        }
        for reading, reference in readings.items():
            _check_reading(name, reading, reference, child.place_of([reading]), directory, problems)
        zones[name] = ZoneSpec(name, section.floor, section.area_m2, readings)
    return zones


def _check_reading(
    zone: str, reading: str, reference: str, place: Place, directory: Directory, problems: Problems
) -> None:
    what = f"zone {zone}: {reading}"
    point = directory.find(reference, place, what, problems)
    if point is None or (reading == "occupancy" and point.quantity == "state"):
        return
    wanted = READING_QUANTITY[reading]
    if point.quantity != wanted:
        message = f"{what}: {reference} measures {point.quantity}, not {wanted}"
        problems.add(place, "wrong-unit", message, "name another point, or correct its 'quantity'")
