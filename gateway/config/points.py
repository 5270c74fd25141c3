"""Points: the driver's own keys beside the common ones, and the way from device value to canonical value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.base import Kind, Settings
from drivers.units import Conversion, UnitError, canonical_unit, conversion, quantities
from gateway.config.errors import Problems, split_hint
from gateway.config.parse import note_unknown_key, parse
from gateway.config.schema import PointSection, key_names
from gateway.config.tree import Node
from gateway.site import PointSpec

if TYPE_CHECKING:
    from drivers.registry import DriverKind

HEARTBEAT = 3
"""How many intervals a change-of-value point holds its value unless told otherwise."""

COUNTERS = frozenset(
    {
        "electric_energy", "reactive_energy", "apparent_energy", "heat_energy", "gas_energy",
        "water_volume", "gas_volume",
    }
)  # fmt: skip
"""Quantities that meters count; a point of them is a counter unless it says otherwise."""

_QUANTITY_OF = {"%": "percentage", "%RH": "humidity", "1": "count", "people": "occupancy", "bool": "state"}
"""Units that several quantities share, where the first of the table is not the likely one."""


def build_point(
    device: str, name: str, node: Node, kind: DriverKind, every_s: float, problems: Problems
) -> PointSpec | None:
    """The point as the gateway runs it; None when it has problems, which are noted."""
    what = f"point {device}/{name}"
    parts = _split(node, kind, what, problems)
    if parts is None:
        return None
    source, common = parts
    resolved = _measure(common, node, what, problems)
    if resolved is None or not _sensible(common, resolved[2], kind, node, what, problems):
        return None
    quantity, unit, point_kind, convert = resolved
    every = common.every or every_s
    holds = common.cov is not None or not kind.polled
    return PointSpec(
        device=device,
        name=name,
        source=source,
        quantity=quantity,
        unit=unit,
        source_unit=common.unit or unit,
        kind=point_kind,
        every_s=every,
        factor=common.factor * convert.factor,
        offset=common.offset * convert.factor + convert.offset,
        low=None if common.low is None else convert(common.low),
        high=None if common.high is None else convert(common.high),
        modulus=_canonical_modulus(common, source, convert),
        max_rate=None if common.max_rate is None else common.max_rate * convert.factor,
        cov=common.cov,
        heartbeat_s=common.heartbeat or (HEARTBEAT * every if holds else 0.0),
        description=common.description,
    )


def _split(
    node: Node, kind: DriverKind, what: str, problems: Problems
) -> tuple[Settings, PointSection] | None:
    """The driver's settings and the common ones. A key both know (Modbus `offset`) is the driver's."""
    if node.mapping is None:
        hint = "write its keys below it, or 'false' to drop a template's point"
        problems.add(node.place, "type", f"{what}: expected a mapping", hint)
        return None
    own = key_names(kind.point_settings)
    shared = key_names(PointSection) - own
    for key in node.mapping:
        if key not in own | shared:
            note_unknown_key(node.keys[key], key, own | shared, what, problems)
    common = parse(PointSection, node.only(shared), what, problems)
    source = parse(kind.point_settings, node.only(own), what, problems)
    return None if source is None or common is None else (source, common)


def _measure(
    common: PointSection, node: Node, what: str, problems: Problems
) -> tuple[str, str, Kind, Conversion] | None:
    """Quantity, canonical unit, kind, and the conversion from the device's unit."""
    try:
        quantity = common.quantity or _quantity(common)
        unit = canonical_unit(quantity)
    except UnitError as error:
        message, hint = split_hint(str(error))
        place = node.place_of(["quantity" if common.quantity else "unit"])
        problems.add(place, "quantity" if common.quantity else "unit", f"{what}: {message}", hint)
        return None
    if not quantity:
        return None
    try:
        convert = conversion(common.unit or unit, unit)
    except UnitError as error:
        message, hint = split_hint(str(error))
        problems.add(node.place_of(["unit"]), "unit", f"{what} ({quantity}): {message}", hint)
        return None
    return quantity, unit, common.kind or _kind(quantity), convert


def _quantity(common: PointSection) -> str:
    """The quantity that a unit and a kind imply. Raises UnitError when nothing does."""
    if common.kind in (Kind.STATE, Kind.COMMAND) and common.unit in (None, "1", "bool"):
        return "state"
    if common.unit is None:
        raise UnitError("it has neither a unit nor a quantity; add 'unit: ...', or 'kind: state' for on/off")
    return _QUANTITY_OF.get(common.unit) or quantities(common.unit)[0]


def _kind(quantity: str) -> Kind:
    if quantity in COUNTERS:
        return Kind.COUNTER
    return Kind.STATE if quantity == "state" else Kind.GAUGE


def _sensible(
    common: PointSection, point_kind: Kind, kind: DriverKind, node: Node, what: str, problems: Problems
) -> bool:
    """Whether the keys fit each other; what does not is noted at its key."""

    def refuse(key: str, message: str, hint: str) -> None:
        problems.add(node.place_of([key], key=True), "conflict", f"{what}: {message}", hint)

    fits = True
    for key, value in (("modulus", common.modulus), ("max_rate", common.max_rate)):
        if value is not None and point_kind is not Kind.COUNTER:
            refuse(
                key,
                f"'{key}' is for counters, and this is a {point_kind}",
                "remove it, or add 'kind: counter'",
            )
            fits = False
    if common.cov is not None and kind.package == "modbus":
        refuse(
            "cov",
            "Modbus devices cannot report changes by themselves",
            "remove 'cov'; 'every' sets the cadence",
        )
        fits = False
    if common.write is not None:
        place = node.place_of(["write"], key=True)
        if point_kind not in (Kind.SETPOINT, Kind.COMMAND):
            hint = "remove 'write', or add 'kind: setpoint' or 'kind: command'"
            problems.add(place, "conflict", f"{what}: a {point_kind} cannot be written", hint)
            fits = False
        else:
            message = f"{what}: 'write' is checked but not used: this version only reads"
            problems.warn(place, "read-only", message, "nothing to do")
    return fits


def _canonical_modulus(common: PointSection, source: Settings, convert: Conversion) -> float | None:
    """The roll-over in canonical units: counts times everything that scales a count."""
    if common.modulus is None:
        return None
    scale = float(getattr(source, "scale", 1.0))
    return common.modulus * abs(scale * common.factor * convert.factor)
