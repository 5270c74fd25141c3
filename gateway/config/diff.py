"""What differs between two installations, so that a reload applies only that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.site import Installation


@dataclass(frozen=True, slots=True)
class Delta:
    """Names that came, went, or mean something else now; each sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @classmethod
    def between(cls, old: Mapping[str, Any], new: Mapping[str, Any]) -> Delta:
        return cls(
            added=tuple(sorted(new.keys() - old.keys())),
            removed=tuple(sorted(old.keys() - new.keys())),
            changed=tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """devices, links, roles, zones, sinks: by name. rest: which of site, kpis, store, web differ."""

    devices: Delta
    links: Delta
    roles: Delta
    zones: Delta
    sinks: Delta
    rest: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.devices, self.links, self.roles, self.zones, self.sinks, self.rest))

    def named(self) -> dict[str, Delta]:
        """The deltas that are not empty, by section."""
        sections = ("devices", "links", "roles", "zones", "sinks")
        return {name: getattr(self, name) for name in sections if getattr(self, name)}


def diff(old: Installation, new: Installation) -> Changes:
    """What has to change to make `old` into `new`."""
    return Changes(
        devices=Delta.between(old.devices, new.devices),
        links=Delta.between(old.links, new.links),
        roles=Delta.between(old.roles, new.roles),
        zones=Delta.between(old.zones, new.zones),
        sinks=Delta.between(old.sinks, new.sinks),
        rest=tuple(
            name for name in ("site", "kpis", "store", "web") if getattr(old, name) != getattr(new, name)
        ),
    )
