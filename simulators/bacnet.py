"""A simulated BACnet/IP device: real objects on a real UDP port, their values a function of time.

Built on bacpypes3 alone, so that a building of many devices stays cheap. Several run in one process, each
on its own port. Values are computed when somebody asks, and once a second while somebody subscribes.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Sequence
from ipaddress import IPv4Interface
from typing import Any, cast

from bacpypes3.app import Application
from bacpypes3.basetypes import EngineeringUnits
from bacpypes3.local.analog import AnalogInputObject, AnalogOutputObject, AnalogValueObject
from bacpypes3.local.binary import BinaryInputObject, BinaryOutputObject, BinaryValueObject
from bacpypes3.local.cmd import Commandable
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.multistate import MultiStateInputObject, MultiStateOutputObject, MultiStateValueObject
from bacpypes3.local.networkport import NetworkPortObject

from drivers.bacnet.settings import PointSettings, parse_object
from drivers.base import Now
from simulators.base import ServedPoint

REFRESH_EVERY_S = 1.0
FRESH_NS = 50_000_000
COV_INCREMENT = 0.1


class CommandableAnalogValue(Commandable, AnalogValueObject):  # type: ignore[misc]
    """An analog value with a priority array: what is written to it holds until it is relinquished."""


class CommandableBinaryValue(Commandable, BinaryValueObject):  # type: ignore[misc]
    """A binary value with a priority array (bacpypes3's own leaves change of value out)."""


_CLASSES: dict[int, Any] = {
    0: AnalogInputObject,
    1: AnalogOutputObject,
    2: CommandableAnalogValue,
    3: BinaryInputObject,
    4: BinaryOutputObject,
    5: CommandableBinaryValue,
    13: MultiStateInputObject,
    14: MultiStateOutputObject,
    19: MultiStateValueObject,
}
_ANALOG = (0, 1, 2)
_UNITS: dict[str, str] = {
    "degC": "degreesCelsius",
    "K": "deltaDegreesKelvin",
    "%": "percent",
    "kW": "kilowatts",
    "kWh": "kilowattHours",
    "m3": "cubicMeters",
    "m3/h": "cubicMetersPerHour",
    "L/s": "litersPerSecond",
    "ppm": "partsPerMillion",
    "Pa": "pascals",
    "V": "volts",
    "A": "amperes",
    "Hz": "hertz",
    "lx": "luxes",
    "m/s": "metersPerSecond",
    "kg": "kilograms",
}


class BacnetDevice:
    """One device and its objects.

    host: the address to listen on, with a mask ('10.0.0.5/24') when broadcast Who-Is is to be heard.
    points: their settings are the driver's PointSettings. A NaN value takes the device off the wire.
    A command written to an output or value outweighs its function of time until it is relinquished.
    """

    def __init__(
        self, host: str, port: int, instance: int, name: str, points: Sequence[ServedPoint], now: Now
    ) -> None:
        self.host = IPv4Interface(host)
        self.port = port
        self.instance = instance
        self.name = name
        self._points = tuple(points)
        self._now = now
        self._app: Any = None
        self._objects: list[tuple[ServedPoint, Any]] = []
        self._values: list[float] = []
        self._off_wire = False
        self._refreshed: int | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def application(self) -> Any:
        """The running bacpypes3 application, for giving the device a controller's bad habits."""
        return self._app

    async def start(self) -> None:
        """Serve; raises OSError when the port is taken (bacpypes3 alone would share it silently)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((str(self.host.ip), self.port))
        self._objects = [(point, _object(point)) for point in self._points]
        self._values = [math.nan] * len(self._objects)
        device = DeviceObject(
            objectIdentifier=("device", self.instance),
            objectName=self.name,
            modelName="HeyZack simulated device",
            vendorName="HeyZack",
        )
        network = NetworkPortObject(
            f"{self.host}:{self.port}", objectIdentifier=("network-port", 1), objectName="network port"
        )
        self._app = Application.from_object_list([device, network, *(served for _, served in self._objects)])
        for link in self._app.link_layers.values():
            await self._guard(link.server)
        self._ticker = asyncio.create_task(self._tick(), name=f"bacnet-device-{self.instance}")

    async def stop(self) -> None:
        """Leave the wire and free the port."""
        if self._app is None:
            return
        app, self._app = self._app, None
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        for detection in list(app._cov_detections.values()):
            for subscription in list(detection.cov_subscriptions):
                app.cancel_subscription(subscription)
        for transaction in [*app.asap.clientTransactions, *app.asap.serverTransactions]:
            transaction.stop_timer()
        app.close()
        await asyncio.sleep(0.01)  # the transports close on the next turns of the loop

    async def _guard(self, server: Any) -> None:
        """Wait for the socket, then let nothing through while the device is off the wire."""
        for _ in range(1000):  # bacpypes3 opens its sockets in tasks of its own
            if server.local_transport and (server.broadcast_transport or not server.broadcast_address):
                break
            await asyncio.sleep(0.002)
        else:
            raise OSError(f"cannot listen on {self.host}, port {self.port}")
        hear = server.confirmation

        async def confirmation(pdu: Any) -> None:
            self._refresh()
            if not self._off_wire:
                await hear(pdu)

        server.confirmation = confirmation

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            if self._app._cov_detections:
                self._refresh()

    def _refresh(self) -> None:
        """Bring the objects up to now, unless they are."""
        now = self._now()
        if self._refreshed is not None and abs(now - self._refreshed) < FRESH_NS:
            return
        self._refreshed = now
        values = [point.value_at(now) for point, _ in self._objects]
        self._off_wire = any(math.isnan(value) for value in values)
        if self._off_wire:
            return
        for (_, served), value, before in zip(self._objects, values, self._values, strict=True):
            if value != before:  # setting a property costs far more than computing its value
                _set(served, value)
        self._values = values


def _object(point: ServedPoint) -> Any:
    """The BACnet object that serves a point; ValueError for a type that is not simulated."""
    kind, instance = parse_object(cast(PointSettings, point.settings).object)
    if kind not in _CLASSES:
        raise ValueError(
            f"{point.name}: object type {kind} is not simulated; use analog, binary or multi-state"
        )
    fields: dict[str, Any] = {
        "objectIdentifier": (kind, instance),
        "objectName": point.name,
        "description": point.name.replace("_", " "),
        "eventState": "normal",
        "outOfService": False,
        "reliability": "noFaultDetected",
    }
    if kind in _ANALOG:
        fields |= {
            "presentValue": 0.0,
            "units": EngineeringUnits(_UNITS.get(point.unit, "noUnits")),
            "covIncrement": COV_INCREMENT,
        }
    elif kind in (13, 14, 19):
        fields |= {"presentValue": 1, "numberOfStates": 255}
    else:
        fields["presentValue"] = "inactive"
    return _CLASSES[kind](**fields)


def _set(served: Any, value: float) -> None:
    number = float(value) if hasattr(served, "units") else round(value)
    if isinstance(served, Commandable):
        if served.relinquishDefault != number:  # going through the priority array takes its time
            served.relinquishDefault = number
            served.recalculating()
    else:
        served.presentValue = number
