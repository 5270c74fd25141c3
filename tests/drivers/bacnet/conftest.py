"""A simulated controller and the gateway's driver, on free loopback ports."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from drivers.bacnet.driver import BacnetDriver, create
from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.base import Delivery, Device, Point, PollGroup
from simulators.bacnet import BacnetDevice
from simulators.base import ServedPoint


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bench:
    """One controller (instance 1201), one driver, and what the driver delivered unasked.

    values: what the controller's points are worth now, by object; change them at will.
    """

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values
        self.port = _free_port()
        self.link = LinkSettings(
            address="127.0.0.1/24", port=_free_port(), apdu_timeout=0.2, retries=0, who_is_timeout=0.2
        )
        self.controller = BacnetDevice("127.0.0.1", self.port, 1201, "ahu-1", self._served(), time.time_ns)
        self.driver: BacnetDriver = create("bms", self.link, time.time_ns)
        self.delivered: list[Delivery] = []

    def _served(self) -> list[ServedPoint]:
        def value_of(name: str) -> Callable[[int], float]:
            return lambda _: self.values[name]

        return [ServedPoint(f"point {o}", PointSettings(object=o), value_of(o), "degC") for o in self.values]

    async def deliver(self, delivery: Delivery) -> None:
        self.delivered.append(delivery)

    async def assign(
        self, objects: Sequence[str | PointSettings], *, cov: float | None = None, **settings: object
    ) -> PollGroup:
        """Give the driver this one device; series ids count from 0 in the order of `objects`."""
        sources = [PointSettings(object=item) if isinstance(item, str) else item for item in objects]
        points = tuple(
            Point(series, "ahu-1", f"p{series}", source, "temperature", "degC", "degC", cov=cov)
            for series, source in enumerate(sources)
        )
        group = PollGroup("ahu-1", 1.0, points)
        known = {"device_instance": 1201, "address": f"127.0.0.1:{self.port}"} | settings
        await self.driver.assign([Device("ahu-1", DeviceSettings.model_validate(known), (group,))])
        return group


MakeBench = Callable[[dict[str, float]], AbstractAsyncContextManager[Bench]]


@pytest.fixture
def free_port() -> Callable[[], int]:
    return _free_port


@pytest.fixture
def bench() -> MakeBench:
    @asynccontextmanager
    async def make(values: dict[str, float]) -> AsyncIterator[Bench]:
        made = Bench(values)
        await made.controller.start()
        try:
            await made.driver.open(made.deliver)
            yield made
        finally:
            await made.driver.close()
            await made.controller.stop()

    return make
