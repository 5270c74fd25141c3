"""A simulated meter on a free loopback port, and a driver that reads it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from drivers.base import Delivery, Device, Point, PollGroup, PollResult
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, PointSettings, TcpLinkSettings
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer


def settings(**keys: object) -> PointSettings:
    return PointSettings.model_validate(keys)


def points_of(places: Mapping[str, PointSettings], device: str = "meter") -> tuple[Point, ...]:
    return tuple(
        Point(series, device, name, place, "voltage", "V", "V")
        for series, (name, place) in enumerate(places.items())
    )


async def discard(_: Delivery) -> None:
    raise AssertionError("Modbus brings nothing unasked")


@dataclass
class Meter:
    """One server, one driver, one device with one group."""

    server: ModbusServer
    driver: ModbusDriver
    group: PollGroup
    values: dict[str, float] = field(default_factory=dict)
    monotonic: list[float] = field(default_factory=lambda: [0.0])

    async def poll(self, *, trace: bool = False) -> PollResult:
        return await self.driver.poll(self.group, trace=trace)

    async def requests_of_a_poll(self) -> int:
        before = self.server.requests
        await self.poll()
        return self.server.requests - before


MakeMeter = Callable[..., Awaitable[Meter]]


@pytest.fixture
async def make_meter() -> AsyncIterator[MakeMeter]:
    """make_meter(places, values, asked=None, device=DeviceSettings(), **link): a polled meter.

    places: what the server has. asked: what the driver reads, the same by default.
    """
    made: list[Meter] = []

    async def make(
        places: Mapping[str, PointSettings],
        values: Mapping[str, float],
        *,
        asked: Mapping[str, PointSettings] | None = None,
        device: DeviceSettings | None = None,
        **link: object,
    ) -> Meter:
        current = dict(values)

        def truth(name: str) -> Callable[[int], float]:
            return lambda _: current[name]

        served = [ServedPoint(name, place, truth(name)) for name, place in places.items()]
        server = ModbusServer("127.0.0.1", 0, {1: served}, time.time_ns)
        await server.start()
        link_settings = TcpLinkSettings.model_validate(
            {"host": "127.0.0.1", "port": server.port, "timeout": 0.2} | link
        )
        ticks = [0.0]
        driver = ModbusDriver(link_settings, lambda: 1_000, monotonic=lambda: ticks[0])
        group = PollGroup("meter", 1.0, points_of(asked or places))
        await driver.open(discard)
        await driver.assign([Device("meter", device or DeviceSettings(), (group,))])
        made.append(Meter(server, driver, group, current, ticks))
        return made[-1]

    yield make
    for meter in made:
        await meter.driver.close()
        await meter.server.stop()
