"""Devices: link, template and points brought together."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drivers.base import Settings
from drivers.registry import KINDS, DriverKind
from gateway.config.errors import Place, Problems, did_you_mean, suggest
from gateway.config.links import Links, endpoint, find_driver
from gateway.config.parse import note_unknown_key, parse
from gateway.config.points import build_point
from gateway.config.schema import DeviceSection, key_names
from gateway.config.shelf import TemplateShelf
from gateway.config.tree import Node, grafted
from gateway.expressions import NAME
from gateway.site import DeviceSpec, PointSpec

if TYPE_CHECKING:
    from drivers.templates import Template

POLLED_EVERY_S = 10.0
SENT_EVERY_S = 60.0
"""How often a device is polled, or is expected to send, unless it says so."""

_COMMON = key_names(DeviceSection) | {"points"}


@dataclass(frozen=True, slots=True)
class BuiltDevice:
    """A device with the places that later checks need. complete: none of its points was refused."""

    spec: DeviceSpec
    node: Node
    place: Place
    point_places: dict[str, Place]
    complete: bool


class Devices:
    """Builds devices one by one, against the links and templates there are."""

    def __init__(self, links: Links, shelf: TemplateShelf, problems: Problems) -> None:
        self._links = links
        self._shelf = shelf
        self._problems = problems
        self.built: dict[str, BuiltDevice] = {}
        self.broken: set[str] = set()
        """Names of devices that have problems: roles that name them get no second complaint."""
        self.disabled: set[str] = set()

    def add(self, name: str, node: Node, place: Place) -> None:
        """Build one device and keep it, or note why not."""
        self.broken.add(name)
        if not _well_named(name, "device", place, self._problems) or self._clashes(name, place):
            return
        if node.mapping is None:
            hint = "write its link and points below it"
            self._problems.add(place, "type", f"device {name}: expected a mapping", hint)
            return
        common = parse(DeviceSection, node.only(key_names(DeviceSection)), f"device {name}", self._problems)
        if common is None:
            return
        if not common.enabled:
            self.disabled.add(name)
            self.broken.discard(name)
            return
        built = self._build(name, node, place, common)
        if built is not None:
            self.built[name] = built
            if built.complete:
                self.broken.discard(name)

    def _clashes(self, name: str, place: Place) -> bool:
        for other in (*self.built, *self.disabled):
            if other.lower() == name.lower():
                message = f"device '{name}' differs from '{other}' in letter case only"
                self._problems.add(place, "name-clash", message, "give it a name of its own")
                return True
        return False

    def _build(self, name: str, node: Node, place: Place, common: DeviceSection) -> BuiltDevice | None:
        template = self._template(name, node, common)
        if common.template and template is None:
            return None
        found = self._link(name, node, common, template)
        if found is None:
            return None
        kind, link, taken = found
        own = key_names(kind.device_settings)
        known = own | _COMMON | taken
        for key in node.mapping or {}:
            if key not in known:
                note_unknown_key(node.keys[key], key, known, f"device {name} ({kind.name})", self._problems)
        settings = parse(kind.device_settings, node.only(own - _COMMON), f"device {name}", self._problems)
        if settings is None:
            return None
        every = common.every or (POLLED_EVERY_S if kind.polled else SENT_EVERY_S)
        nodes = {
            point: _with_defaults(settings, point, child)
            for point, child in self._point_nodes(name, node, template).items()
        }
        points = [
            (build_point(name, point, child, kind, every, self._problems), child)
            for point, child in nodes.items()
        ]
        specs = tuple(spec for spec, _ in points if spec is not None)
        places = {name: child.named or child.place for name, child in nodes.items()}
        if not nodes:
            hint = "add 'points:' or a 'template:'"
            self._problems.add(place, "missing-key", f"device {name}: it has no points", hint)
        spec = DeviceSpec(
            name=name,
            link=link,
            driver=kind.name,
            settings=settings,
            points=specs,
            template=common.template,
            description=common.description,
            address=_address(self._links.specs[link].settings, settings),
        )
        complete = len(specs) == len(nodes) > 0
        return BuiltDevice(spec, node, place, places, complete)

    def _template(self, name: str, node: Node, common: DeviceSection) -> Template | None:
        if not common.template:
            return None
        from drivers.templates import TemplateError

        place = node.place_of(["template"])
        try:
            template = self._shelf.get(common.template)
        except TemplateError as error:
            message = f"device {name}: template '{common.template}' cannot be used: {error}"
            self._problems.add(place, "template", message, "check it with `heyzack template check`")
            return None
        if template is None:
            message = f"device {name}: template '{common.template}' is unknown"
            hint = suggest(common.template, self._shelf.names) or "see `heyzack template list`"
            self._problems.add(place, "unknown-template", message, hint)
        return template

    def _link(
        self, name: str, node: Node, common: DeviceSection, template: Template | None
    ) -> tuple[DriverKind, str, frozenset[str]] | None:
        """The driver, the link's name, and the device's keys that belong to an implicit link."""
        if common.link:
            return self._named_link(name, node, common, template)
        if "host" not in (node.mapping or {}):
            hint = "add 'link: ...' or 'host: ...'"
            if self._links.specs:
                hint += f"; links here are {', '.join(sorted(self._links.specs))}"
            place = node.named or node.place
            self._problems.add(
                place, "missing-key", f"device {name}: neither 'link' nor 'host' is given", hint
            )
            return None
        driver = common.driver or (driver_of(template) if template else "modbus-tcp")
        kind = find_driver(driver, node, f"device {name}", self._problems)
        if kind is None or not self._template_fits(name, node, template, kind):
            return None
        if "host" not in key_names(kind.link_settings):
            message = f"device {name}: a {kind.name} device has no 'host' of its own"
            hint = f"define a {kind.name} link under 'links:' and name it: 'link: ...'"
            self._problems.add(node.place_of(["host"], key=True), "conflict", message, hint)
            return None
        link = self._links.implicit(name, node, kind)
        return None if link is None else (kind, link, key_names(kind.link_settings))

    def _named_link(
        self, name: str, node: Node, common: DeviceSection, template: Template | None
    ) -> tuple[DriverKind, str, frozenset[str]] | None:
        spec = self._links.specs.get(common.link)
        if spec is None:
            if common.link not in self._links.broken:
                message = f"device {name}: link '{common.link}' is unknown"
                hint = suggest(common.link, self._links.specs, "links here are") or "define it under 'links:'"
                self._problems.add(node.place_of(["link"]), "unknown-link", message, hint)
            return None
        if "host" in (node.mapping or {}):
            message = f"device {name}: both 'link' and 'host' are given"
            self._problems.add(
                node.place_of(["host"], key=True), "conflict", message, "remove one of the two"
            )
            return None
        if common.driver and common.driver != spec.driver:
            message = f"device {name}: link '{common.link}' has driver {spec.driver}, not {common.driver}"
            self._problems.add(
                node.place_of(["driver"]), "conflict", message, "remove 'driver', or name another link"
            )
            return None
        kind = KINDS[spec.driver]
        return (kind, common.link, frozenset()) if self._template_fits(name, node, template, kind) else None

    def _template_fits(self, name: str, node: Node, template: Template | None, kind: DriverKind) -> bool:
        if template is None or KINDS[driver_of(template)].package == kind.package:
            return True
        message = (
            f"device {name}: template '{node.text('template')}' is for {driver_of(template)}, not {kind.name}"
        )
        self._problems.add(node.place_of(["template"]), "conflict", message, "name another link or template")
        return False

    def _point_nodes(self, name: str, node: Node, template: Template | None) -> dict[str, Node]:
        """The template's points with the device's own laid over them; `false` drops one."""
        at = node.place_of(["template"])
        merged = {point: grafted(raw, at) for point, raw in template.points.items()} if template else {}
        points = node.child("points")
        if points is None or points.value is None:
            return merged
        if points.mapping is None:
            hint = "write 'name: {...}' lines below it"
            self._problems.add(points.place, "type", f"device {name}: points: expected a mapping", hint)
            return merged
        seen = {point.lower(): point for point in merged}
        for point, own in points.mapping.items():
            place = points.keys[point]
            if not _well_named(point, f"device {name}: point", place, self._problems):
                continue
            if seen.setdefault(point.lower(), point) != point:
                message = f"point {name}/{point} differs from '{seen[point.lower()]}' in letter case only"
                self._problems.add(place, "name-clash", message, "give it a name of its own")
                continue
            self._lay_over(merged, name, point, own, place)
        return merged

    def _lay_over(self, merged: dict[str, Node], device: str, point: str, own: Node, place: Place) -> None:
        base = merged.get(point)
        if own.value is False:
            if base is None:
                hint = did_you_mean(point, merged) or "remove the line"
                message = f"point {device}/{point}: there is nothing to drop, the template has no such point"
                self._problems.add(place, "unknown-point", message, hint)
            merged.pop(point, None)
        elif base is None or own.mapping is None:
            merged[point] = own
        else:
            both = (base.mapping or {}) | own.mapping
            merged[point] = Node(own.place, both, base.keys | own.keys, named=place)


def _with_defaults(settings: Settings, point: str, node: Node) -> Node:
    """A point's node over what its device's settings imply for it."""
    if node.mapping is None and node.value is not None:
        return node
    implied = settings.point_defaults(point, node.mapping or {})
    if not implied:
        return node
    base = grafted(dict(implied), node.named or node.place)
    return replace(node, value=(base.mapping or {}) | (node.mapping or {}), keys=base.keys | node.keys)


def driver_of(template: Template) -> str:
    """The driver that a template is for, as configurations name it."""
    if template.driver in KINDS:
        return template.driver
    return next(kind.name for kind in KINDS.values() if kind.package == template.driver)


def points_of(devices: Devices) -> dict[str, PointSpec]:
    """Every point by its reference, 'device/point'."""
    return {
        f"{point.device}/{point.name}": point
        for device in devices.built.values()
        for point in device.spec.points
    }


def _well_named(name: str, what: str, place: Place, problems: Problems) -> bool:
    wrapper = what == "device" and name in ("devices", "links")
    if wrapper or name.startswith("_") or not re.fullmatch(NAME, name):
        hint = "use letters, digits and '_', with '-' or '.' inside, starting with a letter"
        if wrapper:
            hint = f"remove the line '{name}:'; a device file names its devices directly"
        problems.add(place, "name", f"{what} name '{name}' is not allowed", hint)
        return False
    return True


def _address(link: object, settings: object) -> str:
    """Where the device is, for people: the endpoint, then its unit or instance."""
    own = getattr(settings, "address", None)
    parts = [str(own) if own else endpoint(link)]  # type: ignore[arg-type]
    for key, word in (("unit_id", "unit"), ("device_instance", "instance")):
        if (number := getattr(settings, key, None)) is not None:
            parts.append(f"{word} {number}")
    return ", ".join(parts)
