"""BACnet devices with faults: what comes in and goes out passes here, just above the device's UDP socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from bacpypes3.basetypes import Segmentation
from bacpypes3.local.cmd import Commandable
from bacpypes3.pdu import PDU

from drivers.base import Now
from simulators.bacnet import BacnetDevice
from simulators.base import ServedPoint
from simulators.faults import ActiveFault, FaultBoard, FaultKind

Written = Callable[[str, float | None], None]
"""Told of each point that was commanded, and to what; None: it was given back."""
_INVOKE_ID = 7
"""Where it is in an answer without routing: BVLL 4 bytes, NPDU 2, then the APDU's type."""
_MANGLES = (FaultKind.CORRUPT, FaultKind.WRONG_TRANSACTION, FaultKind.TRUNCATE)


class FaultyBacnet:
    """One BACnet device, known on the board by its name."""

    protocol = "bacnet"

    def __init__(
        self,
        board: FaultBoard,
        host: str,
        port: int,
        instance: int,
        name: str,
        points: Sequence[ServedPoint],
        now: Now,
        written: Written | None = None,
    ) -> None:
        self._written = written
        self._commanded: dict[str, float | None] = {}
        self._board = board
        self._name = name
        self.points: Sequence[str] = [point.name for point in points]
        self._hidden: dict[str, Any] = {}
        self._could: Any = None
        spoiled = [board.spoiled(name, point) for point in points]
        self.device = BacnetDevice(host, port, instance, name, spoiled, now)
        board.attach(name, self)

    async def start(self) -> None:
        """Serve; raises OSError when the port is taken."""
        await self.device.start()
        for link in self.device.application.link_layers.values():
            self._stand_before(link.server)

    async def stop(self) -> None:
        await self.device.stop()

    async def begin(self, active: ActiveFault) -> None:
        fault, app = active.fault, self.device.application
        if fault.kind in (FaultKind.LOST_COV, FaultKind.REBOOT):
            _forget_subscriptions(app)
        elif fault.kind is FaultKind.UNKNOWN_OBJECT and (hidden := app.get_object_name(fault.point)):
            app.delete_object(hidden)
            self._hidden[fault.point] = hidden
        elif fault.kind is FaultKind.NO_SEGMENTATION:
            self._could = self.device.application.device_object.segmentationSupported
            self._segment(Segmentation.noSegmentation)
        elif fault.kind is FaultKind.NOT_AVAILABLE:
            self._set_reliability(fault.point, "noSensor")

    async def end(self, active: ActiveFault) -> None:
        fault = active.fault
        if fault.kind is FaultKind.UNKNOWN_OBJECT and (hidden := self._hidden.pop(fault.point, None)):
            self.device.application.add_object(hidden)
        elif fault.kind is FaultKind.NO_SEGMENTATION:
            self._segment(self._could)
        elif fault.kind is FaultKind.NOT_AVAILABLE:
            self._set_reliability(fault.point, "noFaultDetected")

    def _segment(self, supported: Any) -> None:
        self.device.application.device_object.segmentationSupported = supported

    def _set_reliability(self, point: str, reliability: str) -> None:
        for name in [point] if point else self.points:
            served = self.device.application.get_object_name(name)
            if served is not None:
                served.reliability = reliability
                flags = list(served.statusFlags)
                flags[1] = int(reliability != "noFaultDetected")
                served.statusFlags = flags

    def _stand_before(self, server: Any) -> None:
        """Wrap both directions of the socket."""
        hear, say = server.confirmation, server.indication

        async def confirmation(pdu: Any) -> None:
            if not self._silent():
                await self._late()
                await hear(pdu)
                self._look_for_writes()

        async def indication(pdu: Any) -> None:
            striking = self._board.striking(self._name, *_MANGLES)
            if striking:
                data = _mangled(striking[0].fault.kind, bytes(pdu.pduData))
                pdu = PDU(data, source=pdu.pduSource, destination=pdu.pduDestination)
            if not any(a.fault.kind is FaultKind.REBOOT for a in self._board.active(self._name)):
                await say(pdu)

        server.confirmation, server.indication = confirmation, indication

    def _look_for_writes(self) -> None:
        """Tell what was commanded or given back since the last look."""
        for name in self.points if self._written else ():
            served = self.device.application.get_object_name(name)
            if not isinstance(served, Commandable):
                continue
            held = any(slot._choice not in (None, "null") for slot in served.priorityArray or ())
            value = float(served.presentValue) if held else None
            if self._written and value != self._commanded.get(name):
                self._commanded[name] = value
                self._written(name, value)

    def _silent(self) -> bool:
        return bool(self._board.striking(self._name, FaultKind.DROP, FaultKind.REBOOT))

    async def _late(self) -> None:
        for active in self._board.striking(self._name, FaultKind.DELAY):
            await asyncio.sleep(active.fault.seconds or 0.0)


def _forget_subscriptions(app: Any) -> None:
    """Every change-of-value subscription is gone, and nobody is told."""
    for detection in list(app._cov_detections.values()):
        for subscription in list(detection.cov_subscriptions):
            app.cancel_subscription(subscription)


def _mangled(kind: FaultKind, data: bytes) -> bytes:
    image = bytearray(data)
    if kind is FaultKind.TRUNCATE:
        del image[len(image) // 2 :]
    elif len(image) > _INVOKE_ID:
        image[_INVOKE_ID if kind is FaultKind.WRONG_TRANSACTION else _INVOKE_ID + 1] ^= 0x55
    return bytes(image)
