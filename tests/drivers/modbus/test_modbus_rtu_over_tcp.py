"""RTU frames through a socket: what serial converters make of a bus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from drivers.base import Device, FaultCode, Kind, Point, PollGroup, Quality, Write
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, RtuLinkSettings, TcpLinkSettings
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer, Request
from tests.drivers.modbus.simulated_meter import discard, points_of, settings

PLACES = {
    "a": settings(register=5),
    "b": settings(register=6, type="f32"),
    "c": settings(register=1, table="coil"),
}
VALUES = {"a": 5.0, "b": 230.5, "c": 1.0}


@pytest.fixture
async def bus() -> AsyncIterator[ModbusServer]:
    """Units 1 and 2 behind one converter."""
    values = dict(VALUES)
    points = [ServedPoint(name, place, lambda _, n=name: values[n]) for name, place in PLACES.items()]  # type: ignore[misc]

    def written(_: int, name: str, value: float) -> None:
        values[name] = value

    server = ModbusServer("127.0.0.1", 0, {1: points, 2: points}, time.time_ns, framer="rtu", written=written)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def driver(bus: ModbusServer) -> AsyncIterator[ModbusDriver]:
    link = TcpLinkSettings(host="127.0.0.1", port=bus.port, framer="rtu", timeout=0.2)
    driver = ModbusDriver(link, time.time_ns)
    await driver.open(discard)
    await driver.assign([Device(f"meter-{n}", DeviceSettings(unit_id=n), (group(n),)) for n in (1, 2)])
    yield driver
    await driver.close()


def group(unit: int) -> PollGroup:
    return PollGroup(f"meter-{unit}", 1.0, points_of(PLACES, f"meter-{unit}"))


async def test_units_behind_a_converter_are_read(driver: ModbusDriver) -> None:
    for unit in (1, 2):
        assert (await driver.poll(group(unit))).batch.value.tolist() == list(VALUES.values())


async def test_units_behind_a_converter_are_written(driver: ModbusDriver) -> None:
    point = Point(0, "meter-1", "b", PLACES["b"], "temperature", "degC", "degC", Kind.SETPOINT)
    result = await driver.write(Write(point, 21.5))
    assert (result.fault, result.read_back) == (None, 21.5)


async def test_a_late_answer_is_not_taken_for_the_next_units(bus: ModbusServer, driver: ModbusDriver) -> None:
    """The answer of the slow unit arrives while the next one is asked: a fresh socket never sees it."""
    frames: list[bytes] = []

    async def slow(request: Request, frame: bytes | None) -> bytes | None:
        if request.unit == 1 and frame is not None and not frames:
            frames.append(frame)
            await asyncio.sleep(0.3)
            return frame[:-2] + b"\x00\x63"
        return frame

    bus.tamper = slow
    late = await driver.poll(group(1))
    assert late.fault is not None
    assert late.fault.code is FaultCode.NO_ANSWER
    assert (await driver.poll(group(2))).batch.value.tolist() == list(VALUES.values())
    assert (await driver.poll(group(1))).batch.value.tolist() == list(VALUES.values())


async def test_another_units_answer_is_not_believed(bus: ModbusServer, driver: ModbusDriver) -> None:
    async def other(_: Request, frame: bytes | None) -> bytes | None:
        return frame and frame[:6] + b"\x09" + frame[7:]

    bus.tamper = other
    result = await driver.poll(group(1))
    assert result.fault is not None
    assert set(result.batch.quality.tolist()) == {Quality.COMM_LOST}


def test_rtu_frames_are_neither_pipelined_nor_encrypted() -> None:
    with pytest.raises(ValueError, match="no transaction id"):
        TcpLinkSettings(host="a", framer="rtu", max_in_flight=2)
    with pytest.raises(ValueError, match="do not encrypt"):
        TcpLinkSettings.model_validate({"host": "a", "framer": "rtu", "tls": {}})


def test_an_encrypted_link_has_a_port_of_its_own() -> None:
    assert TcpLinkSettings.model_validate({"host": "a", "tls": {}}).port == 802
    assert TcpLinkSettings.model_validate({"host": "a", "tls": {}, "port": 8020}).port == 8020
    assert TcpLinkSettings(host="a").port == 502


@pytest.mark.parametrize(
    ("baudrate", "parity", "stopbits", "silence_ms"),
    [(9600, "even", 1, 4.01), (19200, "none", 2, 2.005), (38400, "even", 1, 1.75), (2400, "none", 1, 14.583)],
)
def test_frames_are_separated_by_the_standards_silence(
    baudrate: int, parity: str, stopbits: int, silence_ms: float
) -> None:
    """Modbus over Serial Line V1.02, 2.5.1.1: 3.5 characters, and 1.75 ms above 19200 baud."""
    line = RtuLinkSettings.model_validate(
        {"port": "/dev/x", "baudrate": baudrate, "parity": parity, "stopbits": stopbits}
    )
    assert line.silence_s * 1e3 == pytest.approx(silence_ms, abs=0.01)


def test_a_line_may_need_a_longer_silence() -> None:
    assert RtuLinkSettings(port="/dev/x", silent_interval=0.01).silence_s == 0.01
