"""Points, settings and a polled meter for the tests of the Modbus driver."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from drivers.base import Delivery, Point, PollGroup, PollResult
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import PointSettings
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
