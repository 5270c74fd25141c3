"""One BACnet/IP port at work: the stack, its devices and their subscriptions. Loads BAC0."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import cast

from drivers.bacnet.cov import CovSubscriptions
from drivers.bacnet.fastpath import install
from drivers.bacnet.names import PRESENT_VALUE
from drivers.bacnet.plan import Reference, reference_of
from drivers.bacnet.publishing import Published
from drivers.bacnet.session import DeviceSession
from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.bacnet.stack import BACPYPES_VERSION, Stack
from drivers.bacnet.stock import StockReader
from drivers.bacnet.writing import write
from drivers.base import (
    Deliver,
    Device,
    Fault,
    FaultCode,
    Memory,
    Now,
    Point,
    PollGroup,
    PollResult,
    Quality,
    Write,
    WriteResult,
    all_bad,
)

_log = logging.getLogger(__name__)


class Link:
    """An open BACnet/IP port. `stack` is for discovery."""

    def __init__(
        self, stack: Stack, settings: LinkSettings, deliver: Deliver, now: Now, memory: Memory
    ) -> None:
        self.stack = stack
        self._settings = settings
        self._now = now
        self._memory = memory
        self._reader = install(stack.app, BACPYPES_VERSION) or StockReader(stack.app)
        self._sessions: dict[str, DeviceSession] = {}
        self._cov = CovSubscriptions(stack.app, deliver, now)
        self.published = Published(stack.app, settings.publish)

    @classmethod
    async def open(cls, settings: LinkSettings, deliver: Deliver, now: Now, memory: Memory) -> Link:
        """Start the stack; raises LinkError."""
        return cls(await Stack.open(settings), settings, deliver, now, memory)

    def assign(self, devices: Sequence[Device]) -> None:
        """Replace the device set; a device with the settings it had keeps its session."""
        self._sessions = {device.name: self._session(device) for device in devices}
        self._cov.assign(
            {point.series: (session, point, reference) for session, point, reference in self._wanted(devices)}
        )

    async def poll(self, group: PollGroup, *, trace: bool) -> PollResult:
        session = self._sessions.get(group.device)
        if session is None:
            fault = Fault(FaultCode.DEVICE_ERROR, "the device is not assigned to this link")
            return all_bad(group, self._now(), fault, Quality.NOT_AVAILABLE, 0.0)
        result = await session.read(group, trace=trace)
        self._cov.watch(result)
        if result.fault is not None and self.stack.registration is not None:
            self.stack.registration.doubt()
        return result

    async def write(self, command: Write) -> WriteResult:
        session = self._sessions.get(command.point.device)
        if session is None:
            return WriteResult(0.0, Fault(FaultCode.DEVICE_ERROR, "the device is not assigned to this link"))
        return await write(session, command)

    async def close(self) -> None:
        await self._cov.close()
        await self.stack.close()

    @property
    def subscriptions(self) -> int:
        """How many change-of-value subscriptions stand."""
        return self._cov.active

    def _session(self, device: Device) -> DeviceSession:
        settings = cast(DeviceSettings, device.settings)
        known = self._sessions.get(device.name)
        if known is not None and known.settings == settings:
            return known
        return DeviceSession(
            device.name, settings, self._settings, self.stack.app, self._reader, self._now, self._memory
        )

    def _wanted(self, devices: Sequence[Device]) -> Iterator[tuple[DeviceSession, Point, Reference]]:
        """The points that ask for change of value: present values only, that is what SubscribeCOV reports."""
        for device in devices:
            for point in device.points:
                reference = reference_of(cast(PointSettings, point.source))
                if point.cov is None:
                    continue
                if reference.property == PRESENT_VALUE:
                    yield self._sessions[device.name], point, reference
                else:
                    _log.warning(
                        "%s/%s: only present values are notified, it is polled", device.name, point.name
                    )
