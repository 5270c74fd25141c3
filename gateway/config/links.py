"""Links: those that are named, and those that a device with its own host implies."""

from __future__ import annotations

from pathlib import Path

from drivers.base import Settings
from drivers.registry import KINDS, DriverKind
from gateway.config.errors import Place, Problems, suggest
from gateway.config.parse import note_unknown_key, parse
from gateway.config.schema import key_names
from gateway.config.tree import Node
from gateway.site import LinkSpec


class Links:
    """The links of an installation while it is built."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self._folder = folder
        self._problems = problems
        self.specs: dict[str, LinkSpec] = {}
        self.broken: set[str] = set()
        """Names that are written but have problems: devices on them get no second complaint."""

    def read(self, node: Node | None) -> None:
        """The `links:` section."""
        if node is None or node.value is None:
            return
        if node.mapping is None:
            self._problems.add(
                node.place, "type", "links: expected a mapping of names", "write 'name: {driver: ...}'"
            )
            return
        for name, link in node.mapping.items():
            self.broken.add(name)
            spec = self._named(name, link)
            if spec is not None:
                self.specs[name] = spec
                self.broken.discard(name)

    def implicit(self, device: str, node: Node, kind: DriverKind) -> str | None:
        """The link of a device that names its own host: one for all devices of the same endpoint."""
        own = node.only(key_names(kind.link_settings))
        settings = parse(kind.link_settings, own, f"device {device}", self._problems)
        if settings is None:
            return None
        name = endpoint(settings)
        known = self.specs.get(name)
        if known is not None and known.settings != settings:
            message = f"device {device}: another device reaches {name} with different link settings"
            hint = "define the link once under 'links:' and name it in both devices"
            self._problems.add(node.place_of(["host"]), "conflict", message, hint)
            return None
        if known is None:
            self.specs[name] = LinkSpec(name, kind.name, settings, implicit=True)
        return name

    def _named(self, name: str, node: Node) -> LinkSpec | None:
        if node.mapping is None:
            self._problems.add(
                node.place, "type", f"link {name}: expected a mapping", "write '{driver: ...}'"
            )
            return None
        kind = find_driver(node.text("driver"), node, f"link {name}", self._problems)
        if kind is None:
            return None
        own = key_names(kind.link_settings)
        rest = node.without({"driver", "description"})
        unknown = [key for key in rest.mapping or {} if key not in own]
        for key in unknown:
            known = own | {"driver", "description"}
            note_unknown_key(node.keys[key], key, known, f"link {name} ({kind.name})", self._problems)
        settings = parse(kind.link_settings, rest.only(own), f"link {name}", self._problems)
        if settings is None or unknown:
            return None
        return LinkSpec(name, kind.name, _anchored(settings, self._folder.absolute()))


def find_driver(name: str, node: Node, what: str, problems: Problems) -> DriverKind | None:
    """The driver by the name a configuration uses; a problem when there is none."""
    kind = KINDS.get(name)
    if kind is None:
        if name:
            place: Place = node.place_of(["driver"])
            problems.add(place, "unknown-driver", f"{what}: driver '{name}' is unknown", suggest(name, KINDS))
        else:
            hint = f"add 'driver: ...', one of {', '.join(KINDS)}"
            problems.add(node.named or node.place, "missing-key", f"{what}: key 'driver' is missing", hint)
    return kind


def _anchored(settings: Settings, folder: Path) -> Settings:
    """The settings with relative paths (certificates) made relative to the configuration's folder."""
    update: dict[str, object] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Path):
            update[name] = folder / value
        elif isinstance(value, Settings):
            update[name] = _anchored(value, folder)
    return settings.model_copy(update=update)


def endpoint(settings: Settings) -> str:
    """Where a link leads, in the protocol's words: 'host:port', a serial port or an interface address."""
    host, port = getattr(settings, "host", None), getattr(settings, "port", None)
    if host is not None:
        return f"{host}:{port}"
    address = getattr(settings, "address", None)
    return f"{address}:{port}" if address is not None else str(port)
