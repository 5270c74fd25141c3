"""A simulated meter on a free loopback port, and a driver that reads it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from drivers.base import Device, PollGroup
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, PointSettings, TcpLinkSettings
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer
from tests.drivers.modbus.simulated_meter import MakeMeter, Meter, discard, points_of


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
