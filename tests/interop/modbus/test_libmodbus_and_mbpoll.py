"""Stacks that are not ours: libmodbus served to our driver, and mbpoll asking our simulator."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
import time
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.base import Device, FaultCode, Kind, Point, PollGroup, PollResult, Quality, Write
from drivers.modbus.client import ReadRequest
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, PointSettings, RtuLinkSettings, TcpLinkSettings
from drivers.modbus.tcp import TcpClient
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer
from tests.drivers.modbus.simulated_meter import discard, points_of, settings
from tests.servers.process import free_port

pytestmark = pytest.mark.servers

SERVER = Path(__file__).parents[2] / "servers" / "libmodbus_server.py"
PLACES = {
    "first": settings(register=0),
    "last": settings(register=299),
    "wide": settings(register=10, type="u32"),
    "swapped": settings(register=10, type="u32", order="CDAB"),
    "input": settings(register=7, table="input"),
    "coil": settings(register=9, table="coil"),
    "coil_off": settings(register=10, table="coil"),
    "discrete": settings(register=255, table="discrete"),
}
TRUTH = {
    "first": 0, "last": 897, "wide": 30 << 16 | 33, "swapped": 33 << 16 | 30, "input": 1007, "coil": 1,
    "coil_off": 0, "discrete": 1,
}  # fmt: skip


@contextmanager
def libmodbus(*how: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, str(SERVER), *how], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def port() -> Iterator[int]:
    chosen = free_port()
    with libmodbus("tcp", str(chosen)):
        yield chosen


async def opened(link: TcpLinkSettings | RtuLinkSettings, places: dict[str, PointSettings]) -> ModbusDriver:
    driver = ModbusDriver(link, time.time_ns)
    await driver.open(discard)
    await driver.assign([Device("meter", DeviceSettings(), (group(places),))])
    return driver


def group(places: dict[str, PointSettings]) -> PollGroup:
    return PollGroup("meter", 1.0, points_of(places))


async def polled(link: TcpLinkSettings | RtuLinkSettings, places: dict[str, PointSettings]) -> PollResult:
    driver = await opened(link, places)
    result = await driver.poll(group(places))
    await driver.close()
    return result


async def test_our_driver_reads_every_table_of_a_libmodbus_server(port: int) -> None:
    result = await polled(TcpLinkSettings(host="127.0.0.1", port=port), PLACES)
    assert dict(zip(PLACES, result.batch.value.tolist(), strict=True)) == TRUTH
    assert result.fault is None


async def test_registers_that_libmodbus_does_not_have_are_holes(port: int) -> None:
    places = {"there": settings(register=299), "beyond": settings(register=300)}
    result = await polled(TcpLinkSettings(host="127.0.0.1", port=port), places)
    assert result.batch.quality.tolist() == [Quality.GOOD, Quality.FAULT]
    assert result.point_faults[1].code is FaultCode.NO_SUCH_ADDRESS


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ({"register": 20}, 1234.0),
        ({"register": 22, "type": "f32", "order": "CDAB"}, -17.25),
        ({"register": 5, "table": "coil"}, 1.0),
        ({"register": 30, "type": "bit", "bit": 12}, 1.0),
    ],
    ids=["one register", "several registers", "a coil", "a bit"],
)
async def test_our_driver_writes_to_a_libmodbus_server(
    port: int, keys: dict[str, object], value: float
) -> None:
    places = {"point": PointSettings.model_validate(keys)}
    driver = await opened(TcpLinkSettings(host="127.0.0.1", port=port), places)
    point = Point(0, "meter", "point", places["point"], "state", "1", "1", Kind.SETPOINT)
    result = await driver.write(Write(point, value))
    found = await driver.poll(group(places))
    await driver.close()
    assert (result.fault, result.read_back) == (None, value)
    assert found.batch.value.tolist() == [value]


async def test_a_libmodbus_server_answers_pipelined_requests(port: int) -> None:
    """Sixteen under way at once on one connection: each answer finds its request."""
    client = TcpClient(TcpLinkSettings(host="127.0.0.1", port=port, max_in_flight=16))
    most = 0

    async def ask(register: int) -> bytes:
        nonlocal most
        answer = await client.ask(ReadRequest(1, 3, register, 1))
        assert client._connection is not None
        most = max(most, len(client._connection._pending))
        return answer

    answers = await asyncio.gather(*(ask(n % 300) for n in range(600)))
    client.close()
    await asyncio.sleep(0)
    assert answers == [(3 * (n % 300)).to_bytes(2, "big") for n in range(600)]
    assert most > 8, "they really overlapped"


async def test_a_driver_with_pipelining_reads_a_libmodbus_server(port: int) -> None:
    places = {f"r{n}": settings(register=n) for n in range(0, 300, 60)}
    link = TcpLinkSettings(host="127.0.0.1", port=port, max_in_flight=8)
    result = await polled(link, places)
    assert result.batch.value.tolist() == [3 * n for n in range(0, 300, 60)]


# --- a serial line: two pseudo-terminals, and a wire between them


@pytest.fixture
async def line() -> AsyncIterator[tuple[str, str]]:
    """The two ends of a serial line."""
    pairs = [pty.openpty(), pty.openpty()]
    loop = asyncio.get_running_loop()
    for descriptor in (descriptor for pair in pairs for descriptor in pair):
        tty.setraw(descriptor)
    for (here, _), (there, _) in (pairs, pairs[::-1]):
        loop.add_reader(here, lambda here=here, there=there: os.write(there, os.read(here, 512)))
    yield os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1])
    for pair in pairs:
        loop.remove_reader(pair[0])
        for descriptor in pair:
            os.close(descriptor)


async def test_our_driver_reads_libmodbus_over_a_serial_line(line: tuple[str, str]) -> None:
    ours, theirs = line
    with libmodbus("rtu", theirs):
        link = RtuLinkSettings(port=ours, parity="none", timeout=1)
        result = await polled(link, PLACES)
    assert dict(zip(PLACES, result.batch.value.tolist(), strict=True)) == TRUTH


# --- mbpoll reads and writes our simulator


@pytest.fixture
async def simulator() -> AsyncIterator[tuple[ModbusServer, dict[str, float]]]:
    values = {"count": 100_000.0, "voltage": 230.5, "state": 1.0, "low": 7.0}
    places = {
        "count": settings(register=0, type="i32", order="CDAB"),
        "voltage": settings(register=2, type="f32"),
        "low": settings(register=10),
        "state": settings(register=4, table="coil"),
    }
    points = [ServedPoint(name, place, lambda _, n=name: values[n]) for name, place in places.items()]  # type: ignore[misc]

    def written(_: int, name: str, value: float) -> None:
        values[name] = value

    server = ModbusServer("127.0.0.1", 0, {3: points}, time.time_ns, written=written)
    await server.start()
    yield server, values
    await server.stop()


async def mbpoll(server: ModbusServer, *how: str) -> str:
    """What mbpoll prints for one poll of unit 3, with zero-based addresses."""
    fixed = ("-m", "tcp", "-1", "-0", "-a", "3", "-p", str(server.port))
    before, after = (how[: how.index("--")], how[how.index("--") + 1 :]) if "--" in how else (how, ())
    process = await asyncio.create_subprocess_exec(
        "mbpoll", *fixed, *before, "127.0.0.1", *after, stdout=-1, stderr=-2
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode()


@pytest.mark.parametrize(
    ("how", "value"),
    [
        (("-t", "4:int", "-r", "0"), "100000"),
        (("-t", "4:float", "-B", "-r", "2"), "230.5"),
        (("-t", "4", "-r", "10"), "7"),
        (("-t", "0", "-r", "4"), "1"),
    ],
)
async def test_mbpoll_reads_our_simulator(
    simulator: tuple[ModbusServer, dict[str, float]], how: tuple[str, ...], value: str
) -> None:
    output = await mbpoll(simulator[0], *how)
    assert re.search(rf"^\[{how[-1]}\]:\s+{re.escape(value)}\s*$", output, re.MULTILINE), output


@pytest.mark.parametrize(
    ("how", "name", "value"),
    [
        (("-t", "4", "-r", "10", "--", "42"), "low", 42.0),
        (("-t", "4:float", "-B", "-r", "2", "--", "21.5"), "voltage", 21.5),
        (("-t", "0", "-r", "4", "--", "0"), "state", 0.0),
    ],
)
async def test_mbpoll_writes_our_simulator(
    simulator: tuple[ModbusServer, dict[str, float]], how: tuple[str, ...], name: str, value: float
) -> None:
    output = await mbpoll(simulator[0], *how)
    assert "Written 1 references" in output, output
    assert simulator[1][name] == value


async def test_mbpoll_is_told_of_registers_that_do_not_exist(
    simulator: tuple[ModbusServer, dict[str, float]],
) -> None:
    assert "Illegal data address" in await mbpoll(simulator[0], "-t", "4", "-r", "500")
