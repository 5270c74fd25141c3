"""A simulated controller and the gateway's driver, on free loopback ports."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from drivers.bacnet.driver import BacnetDriver, create
from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.base import Delivery, Device, Kind, Point, PollGroup
from simulators.bacnet import BacnetDevice
from simulators.base import ServedPoint


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Notebook:
    """A memory that outlives drivers, as the gateway's catalogue does."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    def recall(self, key: str) -> str | None:
        return self.notes.get(key)

    def learn(self, key: str, value: str | None) -> None:
        if value is None:
            self.notes.pop(key, None)
        else:
            self.notes[key] = value


class Bench:
    """One controller (instance 1201), one driver, and what the driver delivered unasked.

    values: what the controller's points are worth now, by object; change them at will.
    """

    def __init__(self, values: dict[str, float], **link: object) -> None:
        self.values = values
        self.port = _free_port()
        usual = {"apdu_timeout": 0.2, "retries": 0, "who_is_timeout": 0.2}
        self.link = LinkSettings.model_validate(
            {"address": "127.0.0.1/24", "port": _free_port()} | usual | link
        )
        self.controller = BacnetDevice("127.0.0.1", self.port, 1201, "ahu-1", self._served(), time.time_ns)
        self.memory = Notebook()
        self.driver: BacnetDriver = create("bms", self.link, time.time_ns, self.memory)
        self.delivered: list[Delivery] = []
        self.requests: list[int] = []
        """Service choices of the confirmed requests that the controller got."""

    def _served(self) -> list[ServedPoint]:
        def value_of(name: str) -> Callable[[int], float]:
            return lambda _: self.values[name]

        return [ServedPoint(f"point {o}", PointSettings(object=o), value_of(o), "degC") for o in self.values]

    async def deliver(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)

    def listen(self) -> None:
        """Note the services that the controller is asked for from now on."""
        access_point = self.controller.application.asap
        stock = access_point.confirmation

        async def confirmation(pdu: Any) -> None:
            if pdu.pduData[0] >> 4 == 0:  # a confirmed request, not yet decoded
                self.requests.append(pdu.pduData[3])
            await stock(pdu)

        access_point.confirmation = confirmation

    async def restart(self) -> None:
        """End the driver and start another one with the same memory, as a restart of the gateway does."""
        await self.driver.close()
        self.driver = create("bms", self.link, time.time_ns, self.memory)
        await self.driver.open(self.deliver)

    async def assign(
        self,
        objects: Sequence[str | PointSettings],
        *,
        cov: float | None = None,
        kind: Kind = Kind.GAUGE,
        **settings: object,
    ) -> PollGroup:
        """Give the driver this one device; series ids count from 0 in the order of `objects`."""
        sources = [PointSettings(object=item) if isinstance(item, str) else item for item in objects]
        points = tuple(
            Point(series, "ahu-1", f"p{series}", source, "temperature", "degC", "degC", kind, cov)
            for series, source in enumerate(sources)
        )
        group = PollGroup("ahu-1", 1.0, points)
        known = {"device_instance": 1201, "address": f"127.0.0.1:{self.port}"} | settings
        await self.driver.assign([Device("ahu-1", DeviceSettings.model_validate(known), (group,))])
        return group


MakeBench = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def free_port() -> Callable[[], int]:
    return _free_port


@pytest.fixture
def bench() -> MakeBench:
    @asynccontextmanager
    async def make(values: dict[str, float], **link: object) -> AsyncIterator[Bench]:
        made = Bench(values, **link)
        await made.controller.start()
        try:
            await made.driver.open(made.deliver)
            yield made
        finally:
            await made.driver.close()
            await made.controller.stop()

    return make
