"""Commands over real sockets: encoded, confirmed, read back; and never anything that was not asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from drivers.base import Device, FaultCode, Kind, Point, PollGroup, Write, WriteResult
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, PointSettings, TcpLinkSettings
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer, Request
from tests.drivers.modbus.simulated_meter import discard, settings

PLACES = {
    "setpoint": settings(register=0, type="i16", scale=0.1),
    "limit": settings(register=1, type="f32", order="CDAB"),
    "counts": settings(register=3, type="u32"),
    "pump": settings(register=5, type="bit", bit=3),
    "alarm": settings(register=5, type="bit", bit=12),
    "relay": settings(register=7, table="coil"),
    "measured": settings(register=0, table="input"),
}
KINDS = {"pump": Kind.COMMAND, "relay": Kind.COMMAND, "measured": Kind.GAUGE}
READS = {1, 2, 3, 4}


@dataclass
class Controller:
    """A device that can be written, and the functions that reached it."""

    server: ModbusServer
    driver: ModbusDriver
    values: dict[str, float]
    functions: list[int] = field(default_factory=list)

    async def write(self, name: str, value: float | None) -> WriteResult:
        return await self.driver.write(Write(point(name), value))

    @property
    def writes(self) -> list[int]:
        return [function for function in self.functions if function not in READS]


def point(name: str) -> Point:
    return Point(0, "plc", name, PLACES[name], "state", "1", "1", KINDS.get(name, Kind.SETPOINT))


def exception(request: Request, code: int) -> bytes:
    body = bytes([request.unit, request.function | 0x80, code])
    return request.transaction.to_bytes(2, "big") + b"\0\0\0\x03" + body


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    values = dict.fromkeys(PLACES, 0.0) | {"alarm": 1.0}
    points = [ServedPoint(name, place, lambda _, n=name: values[n]) for name, place in PLACES.items()]  # type: ignore[misc]

    def written(_: int, name: str, value: float) -> None:
        values[name] = value

    server = ModbusServer("127.0.0.1", 0, {1: points}, time.time_ns, written=written)
    await server.start()
    driver = ModbusDriver(TcpLinkSettings(host="127.0.0.1", port=server.port, timeout=0.3), time.time_ns)
    await driver.open(discard)
    group = PollGroup("plc", 1.0, tuple(point(name) for name in PLACES))
    await driver.assign([Device("plc", DeviceSettings(), (group,))])
    made = Controller(server, driver, values)

    async def note(request: Request, frame: bytes | None) -> bytes | None:
        made.functions.append(request.function)
        return frame

    server.tamper = note
    yield made
    await driver.close()
    await server.stop()


@pytest.mark.parametrize(
    ("name", "value", "function"),
    [
        ("setpoint", -21.5, 6),
        ("limit", 17.25, 16),
        ("counts", 4_000_000_000.0, 16),
        ("relay", 1.0, 5),
        ("pump", 1.0, 6),
    ],
)
async def test_a_value_is_written_by_the_function_for_its_size_and_read_back(
    controller: Controller, name: str, value: float, function: int
) -> None:
    result = await controller.write(name, value)
    assert result.fault is None
    assert controller.values[name] == value
    assert result.read_back == value
    assert controller.writes == [function]


async def test_a_bit_leaves_the_other_bits_of_its_register_alone(controller: Controller) -> None:
    await controller.write("pump", 1.0)
    assert (controller.values["pump"], controller.values["alarm"]) == (1.0, 1.0)
    await controller.write("pump", 0.0)
    assert (controller.values["pump"], controller.values["alarm"]) == (0.0, 1.0)


@pytest.mark.parametrize(("name", "functions"), [("setpoint", [6, 16]), ("relay", [5, 15])])
async def test_a_device_without_the_function_for_one_gets_that_for_many(
    controller: Controller, name: str, functions: list[int]
) -> None:
    async def only_many(request: Request, frame: bytes | None) -> bytes | None:
        controller.functions.append(request.function)
        if request.function not in (5, 6):
            return frame
        controller.values[name] = 0.0  # it did not take it
        return exception(request, 1)

    controller.server.tamper = only_many
    result = await controller.write(name, 1.0)
    assert (result.fault, result.read_back, controller.values[name]) == (None, 1.0, 1.0)
    assert controller.writes == functions


async def test_a_device_that_confirms_and_holds_something_else_is_a_fault(controller: Controller) -> None:
    async def clamp(request: Request, frame: bytes | None) -> bytes | None:
        if request.function == 6:
            controller.values["setpoint"] = 19.0
        return frame

    controller.server.tamper = clamp
    result = await controller.write("setpoint", 26.0)
    assert result.fault is not None
    assert result.fault.code is FaultCode.DEVICE_ERROR
    assert result.read_back == 19.0


async def test_a_register_that_cannot_be_read_has_no_read_back(controller: Controller) -> None:
    async def write_only(request: Request, frame: bytes | None) -> bytes | None:
        return exception(request, 2) if request.function == 3 else frame

    controller.server.tamper = write_only
    result = await controller.write("setpoint", 21.0)
    assert (result.fault, result.read_back) == (None, None)


async def test_a_refused_write_says_why(controller: Controller) -> None:
    async def refuse(request: Request, _: bytes | None) -> bytes:
        return exception(request, 3)

    controller.server.tamper = refuse
    result = await controller.write("setpoint", 21.0)
    assert result.fault is not None
    assert "Modbus exception 3 (illegal data value)" in result.fault.detail


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("measured", 1.0, "only setpoints and commands"),
        ("setpoint", None, "no slot to give up"),
        ("setpoint", float("nan"), "NaN"),
        ("setpoint", 99_999.0, "does not fit i16"),
        ("relay", 0.5, "neither 0 nor 1"),
        ("pump", 2.0, "neither 0 nor 1"),
    ],
)
async def test_a_command_that_makes_no_sense_is_never_sent(
    controller: Controller, name: str, value: float | None, complaint: str
) -> None:
    result = await controller.write(name, value)
    assert result.fault is not None
    assert result.fault.code is FaultCode.REFUSED
    assert complaint in result.fault.detail
    assert controller.functions == []


async def test_an_input_register_is_never_written(controller: Controller) -> None:
    place = PointSettings.model_validate({"register": 0, "table": "input"})
    command = Write(Point(0, "plc", "x", place, "state", "1", "1", Kind.SETPOINT), 1.0)
    result = await controller.driver.write(command)
    assert result.fault is not None
    assert "cannot be written" in result.fault.detail
    assert controller.functions == []


async def test_a_write_takes_its_turn_among_the_polls(controller: Controller) -> None:
    group = PollGroup("plc", 1.0, tuple(point(name) for name in PLACES))
    polls = asyncio.gather(*(controller.driver.poll(group) for _ in range(5)))
    written, polled = await asyncio.gather(controller.write("setpoint", 20.0), polls)
    assert written.fault is None
    assert all(result.fault is None for result in polled)


async def test_polling_never_writes(controller: Controller) -> None:
    group = PollGroup("plc", 1.0, tuple(point(name) for name in PLACES))
    for _ in range(20):
        await controller.driver.poll(group, trace=True)
    assert controller.functions
    assert controller.writes == []
