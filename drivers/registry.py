"""Which drivers exist, and their settings models. The drivers themselves are imported only when opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from drivers.base import Driver, Memory, NoMemory, Now, Settings


@dataclass(frozen=True, slots=True)
class DriverKind:
    """A driver by the name that configurations use.

    package: the folder under `drivers`. Its `settings` module has the classes named by `link`,
    `DeviceSettings` and `PointSettings`; its `driver` module has `create(link_name, settings, now, memory)`.
    polled: points are asked for at their cadence; otherwise the peer sends them.
    shared_medium: one question at a time on a link (a serial line, one socket); otherwise each device of the
    link is asked on its own.
    """

    name: str
    package: str
    link: str
    polled: bool
    shared_medium: bool = True

    @property
    def link_settings(self) -> type[Settings]:
        return self._settings(self.link)

    @property
    def device_settings(self) -> type[Settings]:
        return self._settings("DeviceSettings")

    @property
    def point_settings(self) -> type[Settings]:
        return self._settings("PointSettings")

    def create(self, link: str, settings: Settings, now: Now, memory: Memory | None = None) -> Driver:
        """A driver for one link, not yet opened. memory: where it keeps what it learns of devices."""
        module = import_module(f"drivers.{self.package}.driver")
        factory: Callable[[str, Settings, Now, Memory], Driver] = module.create
        return factory(link, settings, now, memory or NoMemory())

    def _settings(self, name: str) -> type[Settings]:
        model: type[Settings] = getattr(import_module(f"drivers.{self.package}.settings"), name)
        return model


KINDS: dict[str, DriverKind] = {
    kind.name: kind
    for kind in (
        DriverKind("modbus-tcp", "modbus", "TcpLinkSettings", polled=True),
        DriverKind("modbus-rtu", "modbus", "RtuLinkSettings", polled=True),
        DriverKind("bacnet", "bacnet", "LinkSettings", polled=True, shared_medium=False),
        DriverKind("mqtt", "mqtt", "LinkSettings", polled=False),
    )
}
