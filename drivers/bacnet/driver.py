"""The BACnet/IP driver: the `Driver` protocol over a `Link`, which is loaded only when it is opened.

Loading BAC0 and bacpypes3 takes about 0.3 s and 25 MB, so a site without BACnet does not pay for it, and
a running one loads it in a thread, off the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

from drivers.bacnet.settings import LinkSettings
from drivers.base import (
    Deliver,
    Device,
    Fault,
    FaultCode,
    Figure,
    Memory,
    NoMemory,
    Now,
    PollGroup,
    PollResult,
    Quality,
    Settings,
    Write,
    WriteResult,
    all_bad,
)

if TYPE_CHECKING:
    from drivers.bacnet.link import Link
    from drivers.base import Driver, Writer


class BacnetDriver:
    """One BACnet/IP port of the gateway. Satisfies drivers.base.Driver and Writer."""

    def __init__(
        self, link_name: str, settings: LinkSettings, now: Now, memory: Memory | None = None
    ) -> None:
        self.link_name = link_name
        self.settings = settings
        self._now = now
        self._memory = memory or NoMemory()
        self._link: Link | None = None
        self._devices: Sequence[Device] = ()

    @property
    def link(self) -> Link | None:
        """The open link, None before open() and after close(); discovery uses its stack."""
        return self._link

    async def open(self, deliver: Deliver) -> None:
        """Start the local device; raises LinkError when the port cannot be had."""
        if self._link is not None:
            return
        module = await asyncio.to_thread(import_module, "drivers.bacnet.link")
        self._link = await module.Link.open(self.settings, deliver, self._now, self._memory)
        self._link.assign(self._devices)

    async def assign(self, devices: Sequence[Device]) -> None:
        self._devices = tuple(devices)
        if self._link is not None:
            self._link.assign(self._devices)

    async def poll(self, group: PollGroup, *, trace: bool = False) -> PollResult:
        if self._link is None:
            fault = Fault(FaultCode.NO_ANSWER, f"link {self.link_name} is not open")
            return all_bad(group, self._now(), fault, Quality.COMM_LOST, 0.0)
        return await self._link.poll(group, trace=trace)

    async def write(self, command: Write) -> WriteResult:
        """Command one point and read back what became of it; a refusal is the result's fault."""
        if self._link is None:
            return WriteResult(0.0, Fault(FaultCode.NO_ANSWER, f"link {self.link_name} is not open"))
        return await self._link.write(command)

    def publish(self, figures: Sequence[Figure]) -> None:
        """Offer figures as the gateway's own BACnet objects.

        Only keys that the link's `publish:` lists are offered; nothing happens while the link is closed.
        """
        if self._link is not None:
            self._link.published.update({figure.key: (figure.value, figure.unit) for figure in figures})

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()


if TYPE_CHECKING:
    _conforms: type[Driver] = BacnetDriver
    _writes: type[Writer] = BacnetDriver


def create(link_name: str, settings: Settings, now: Now, memory: Memory | None = None) -> BacnetDriver:
    """A driver for one link, not yet opened."""
    return BacnetDriver(link_name, cast(LinkSettings, settings), now, memory)
