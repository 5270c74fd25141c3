"""Two names for one thing: points at one address, devices with one unit id."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import pairwise

from drivers.base import Settings
from drivers.registry import KINDS
from gateway.config.devices import BuiltDevice
from gateway.config.errors import Place, Problems
from gateway.config.links import endpoint
from gateway.site import LinkSpec, PointSpec


def check_addresses(
    devices: Iterable[BuiltDevice], links: Mapping[str, LinkSpec], problems: Problems
) -> None:
    """Note duplicate point addresses within each device and overlapping unit ids on each link."""
    taken: dict[Hashable, BuiltDevice] = {}
    for device in devices:
        _check_points(device, problems)
        _check_unit(device, links[device.spec.link], taken, problems)


def _check_points(device: BuiltDevice, problems: Problems) -> None:
    package = KINDS[device.spec.driver].package
    taken: dict[Hashable, PointSpec] = {}
    for point in device.spec.points:
        key, words = point_address(package, point, device.spec.settings)
        other = taken.setdefault(key, point)
        if other is point:
            continue
        first, second = _type_of(other.source), _type_of(point.source)
        how = f" as {first} and {second}" if first != second else ""
        message = f"point {point.device}/{point.name}: {words} is already read by '{other.name}'{how}"
        hint = "correct the address, or remove one of the two points"
        problems.add(_address_place(device, point), "duplicate-address", message, hint)
    if package == "modbus":
        _check_overlaps(device, problems)


def point_address(package: str, point: PointSpec, device: Settings) -> tuple[Hashable, str]:
    """What of a point's settings says where it is, and the same in words."""
    source = point.source
    if package == "modbus":
        space, start, bit = (getattr(source, name) for name in ("space", "start", "bit"))
        return (space, start, bit), f"{space} register {start}" + (f" bit {bit}" if bit is not None else "")
    if package == "bacnet":
        from drivers.bacnet.settings import PointSettings, parse_object

        assert isinstance(source, PointSettings)  # noqa: S101 - the package's own model
        where = (parse_object(source.object), source.property, source.array_index)
        return where, f"object {source.object} {source.property}"
    topic = str(getattr(source, "topic", None) or getattr(device, "topic", None) or "{device}/{point}")
    topic = topic.replace("{device}", point.device).replace("{point}", point.name)
    path = getattr(source, "value_at", None)
    return (topic, path), f"topic {topic}" + (f" value {path}" if path else "")


def _check_overlaps(device: BuiltDevice, problems: Problems) -> None:
    """Warn where a number's registers reach into the next point's: usually a wrong type or address."""
    spans = sorted(
        (str(s.space), s.start, s.start + s.words, point.name, point)  # type: ignore[attr-defined]
        for point in device.spec.points
        for s in (point.source,)
        if getattr(s, "bit", None) is None
    )
    for (space, start, end, name, _), (next_space, at, _, _, point) in pairwise(spans):
        if space == next_space and start < at < end:
            message = (
                f"point {point.device}/{point.name}: register {at} is inside '{name}' ({start}-{end - 1})"
            )
            problems.warn(
                _address_place(device, point), "overlap", message, "check the type and address of both"
            )


def _check_unit(
    device: BuiltDevice, link: LinkSpec, taken: dict[Hashable, BuiltDevice], problems: Problems
) -> None:
    """One unit id or device instance on one endpoint is one device, whatever the link is called."""
    settings = device.spec.settings
    for key, words in (("unit_id", "unit id"), ("device_instance", "device instance")):
        number = getattr(settings, key, None)
        if number is None:
            continue
        where = (KINDS[device.spec.driver].package, endpoint(link.settings), number)
        other = taken.setdefault(where, device)
        if other is device:
            continue
        taken_by = f"{words} {number} on link '{device.spec.link}' is already '{other.spec.name}'"
        message = f"device {device.spec.name}: {taken_by}"
        known = device.node.child(key)
        place = known.place if known else device.place
        hint = f"give each device its own {words}, or put the points of both into one device"
        problems.add(place, "overlapping-unit-id", message, hint)


def _type_of(source: Settings) -> str:
    return str(getattr(source, "decoded_type", ""))


def _address_place(device: BuiltDevice, point: PointSpec) -> Place:
    """Where the point's address is written; the point itself when a template wrote it."""
    points = device.node.child("points")
    own = points.child(point.name) if points else None
    for key in ("register", "address", "object", "topic"):
        if own is not None and (written := own.child(key)) is not None:
            return written.place
    return device.point_places[point.name]
