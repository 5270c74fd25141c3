"""What a scan heard, as a device map. Pure: descriptions, topics and registers in, `MapDevice`s out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from drivers.bacnet.description import DeviceDescription, ObjectDescription
from drivers.base import Kind
from drivers.units import UnitError, canonical_unit, conversion
from gateway.installer.decodes import rank
from gateway.installer.devicemap import MapDevice, MapPoint
from gateway.installer.naming import distinct, measured_by_name, name_of

_ANALOG: Final = ("analog-", "large-analog", "integer-value", "positive-integer", "accumulator", "pulse-")


def bacnet_device(described: DeviceDescription, link: str, *, static: bool = True) -> MapDevice:
    """A controller: its objects by their own names and units; what has no unit of ours as a candidate.

    static: bind the device to the address it answered from, instead of asking for it at each start.
    """
    device = described.device
    keys: dict[str, Any] = {}
    told = (device.vendor, device.model)
    about = device.model if device.model.startswith(device.vendor) else " ".join(filter(None, told))
    if about:
        keys["description"] = about
    keys |= {"link": link, "device_instance": device.instance}
    if static and device.address:
        keys["address"] = device.address
    names = distinct(name_of(o.name, o.object.replace(",", "-")) for o in described.objects)
    points: list[MapPoint] = []
    candidates: list[MapPoint] = []
    for name, found in zip(names, described.objects, strict=True):
        point = _bacnet_point(name, found)
        (points if _measures(found) else candidates).append(point)
    comments = [f"{len(described.others)} other objects (schedules, logs, ...)"] if described.others else []
    name = name_of(device.name, f"device-{device.instance}")
    return MapDevice(name, keys, tuple(points), tuple(candidates), tuple(comments))


def _bacnet_point(name: str, found: ObjectDescription) -> MapPoint:
    keys: dict[str, Any] = {"object": found.object}
    if found.unit:
        keys["unit"] = found.unit
    if found.quantity:
        keys["quantity"] = found.quantity
    if found.kind is not Kind.GAUGE:
        keys["kind"] = str(found.kind)
    if found.factor != 1.0:
        keys["factor"] = found.factor
    if found.description and found.description not in (found.name, name):
        keys["description"] = found.description
    remark = []
    if found.value is not None:
        remark.append(f"{found.value:g} now")
    if found.states:
        remark.append(" / ".join(found.states[:6]))
    if not _measures(found):
        remark.append(f"the controller's unit is '{found.bacnet_unit}': add unit and quantity"
                      if found.bacnet_unit else "no unit: add unit and quantity")  # fmt: skip
    return MapPoint(name, keys, "; ".join(remark))


def _measures(found: ObjectDescription) -> bool:
    """Whether a point can be made of an object: its unit converts, or it is a state."""
    if found.kind in (Kind.STATE, Kind.COMMAND):
        return True
    if not found.quantity:
        return False
    try:
        conversion(found.unit, canonical_unit(found.quantity))
    except UnitError:
        return False
    return True


def mqtt_devices(
    topics: Mapping[str, str], link: str, every: Mapping[str, float] | None = None
) -> list[MapDevice]:
    """Devices out of topics and their newest payloads.

    A JSON object is a device whose number fields are points (named by path); plain numbers of one parent
    topic are the points of one device. Fields whose name tells no unit are candidates.
    """
    objects = {topic: fields for topic, payload in topics.items() if (fields := _fields(payload))}
    plain = {topic: payload for topic, payload in topics.items() if _number(payload) is not None}
    groups: dict[str, list[str]] = {}
    for topic in plain:
        groups.setdefault(topic.rpartition("/")[0] or topic, []).append(topic)
    wanted = [*objects, *groups]
    names = distinct(_topic_name(topic, topic in groups) for topic in wanted)
    devices = []
    for name, topic in zip(names, wanted, strict=True):
        if topic in objects:
            keys: dict[str, Any] = {"link": link, "topic": _generic(topic, name)}
            made = [_mqtt_point(field, {"json": field}, value) for field, value in objects[topic].items()]
        else:
            keys = {"link": link}
            made = [
                _mqtt_point(leaf.rpartition("/")[2], {"topic": leaf, "payload": "raw"}, plain[leaf])
                for leaf in groups[topic]
            ]
        if every and topic in every:
            keys["every"] = f"{every[topic]:g}s"
        renamed = distinct(point.name for point in made)
        made = [MapPoint(n, p.keys, p.comment) for n, p in zip(renamed, made, strict=True)]
        known = tuple(point for point in made if "unit" in point.keys or "kind" in point.keys)
        rest = tuple(point for point in made if point not in known)
        devices.append(MapDevice(name, keys, known, rest))
    return devices


def _topic_name(topic: str, is_parent: bool) -> str:
    """The level that names the device: of 'building/room-101/state' the last that is no common word."""
    levels = [level for level in topic.split("/") if level]
    if not is_parent and len(levels) > 1 and levels[-1].lower() in _GENERIC_LEVELS:
        levels.pop()
    return name_of(levels[-1] if levels else topic, "sensor")


_GENERIC_LEVELS: Final = frozenset({"state", "status", "sensor", "data", "telemetry", "value", "up", "json"})


def _generic(topic: str, name: str) -> str:
    """The topic with {device} for its own level, so that the line can be copied to the next device."""
    levels = topic.split("/")
    if levels.count(name) != 1 or any(c in topic for c in "{}+#"):
        return topic
    return "/".join("{device}" if level == name else level for level in levels)


def _mqtt_point(field: str, source: dict[str, Any], value: Any) -> MapPoint:
    name = name_of(field, "value")
    if isinstance(value, bool):
        return MapPoint(name, {**source, "kind": "state"}, f"{str(value).lower()} now")
    measured = measured_by_name(field)
    if measured is None:
        return MapPoint(name, source, f"{value} now; add unit and quantity")
    unit, quantity = measured
    return MapPoint(name, {**source, "unit": unit, "quantity": quantity}, f"{value} now")


def _fields(payload: str, prefix: str = "") -> dict[str, Any]:
    """Number and truth fields of a JSON object by path; {} when it is none."""
    try:
        decoded = json.loads(payload)
    except ValueError:
        return {}
    return dict(_walk(decoded, prefix)) if isinstance(decoded, dict) else {}


def _walk(node: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _walk(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float) and "." not in key and "[" not in key:
            yield f"{prefix}{key}", value


def _number(payload: str) -> float | None:
    try:
        return float(payload)
    except ValueError:
        return None


def register_candidates(
    start: int,
    words: Sequence[int | None],
    table: str,
    again: Sequence[int | None] | None = None,
) -> list[MapPoint]:
    """Points that a stretch of registers may hold, one after the other, for the installer to confirm.

    At each register the best decode that begins there is taken, and the next search begins behind it.
    """
    found = []
    at = 0
    while at < len(words):
        word = words[at]
        window = words[at : at + 4]
        later = again[at : at + 4] if again is not None else None
        decodes = [d for d in rank(window, 0, again=later) if d.shift == 0] if word is not None else []
        if word == 0:  # a nought at the front is the high word of a small number, or nothing
            decodes = [d for d in decodes if d.number != 0 and str(d.order) == "ABCD"]
        if not decodes or decodes[0].number == 0:
            at += 1
            continue
        best, others = decodes[0], decodes[1:3]
        likely = best.scalings[0]
        keys: dict[str, Any] = {"register": start + at}
        if table != "holding":
            keys["table"] = table
        keys["type"] = str(best.type)
        if str(best.order) != "ABCD":
            keys["order"] = str(best.order)
        if likely.scale != 1:
            keys["scale"] = likely.scale
        keys |= {"unit": likely.unit, "quantity": likely.quantity}
        rest = ", ".join(f"{d.name} {d.number:g}" for d in others)
        remark = f"{best.number:g} x {likely.scale:g} = {likely.value:g} {likely.unit}?"
        found.append(MapPoint(f"r{start + at}", keys, remark + (f" or {rest}" if rest else "")))
        at += max(1, _size(str(best.type)))
    return found


def _size(kind: str) -> int:
    return int(kind[1:]) // 16
