"""The simulated equipment, read by pymodbus' own client: an independent opinion on the protocol."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.pdu import ExceptionResponse

from drivers.modbus.settings import PointSettings
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer, Request


class Truth:
    """What the served points are worth, and when."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.voltage = 230.5

    def now(self) -> int:
        return self.now_ns


def served(name: str, value: object, **keys: object) -> ServedPoint:
    read = value if callable(value) else lambda _: value
    return ServedPoint(name, PointSettings.model_validate(keys), read)


@pytest.fixture
def truth() -> Truth:
    return Truth()


@pytest.fixture
async def server(truth: Truth) -> AsyncIterator[ModbusServer]:
    """Unit 1: a meter at 100; unit 2: its own clock at 0."""
    points = [
        served("voltage", lambda _: truth.voltage, register=100, type="f32"),
        served("count", 100_000, register=102, type="u32", order="CDAB"),
        served("low", 1, register=104, type="bit", bit=0),
        served("high", 1, register=104, type="bit", bit=15),
        served("off", 0, register=104, type="bit", bit=7),
        served("temperature", -12.5, register=0, type="i16", scale=0.1, table="input"),
        *(served(f"coil{n}", n % 3 == 0, register=n, table="coil") for n in range(12)),
    ]
    clock = [served("seconds", lambda at_ns: at_ns / 1e9, register=0, type="f64")]
    server = ModbusServer("127.0.0.1", 0, {1: points, 2: clock}, truth.now)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: ModbusServer) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=0.2, retries=0, reconnect_delay=0)
    assert await client.connect()
    yield client
    client.close()
    await asyncio.sleep(0)


async def test_points_are_encoded_side_by_side(client: AsyncModbusTcpClient) -> None:
    answer = await client.read_holding_registers(100, count=5, device_id=1)
    assert answer.registers == [0x4366, 0x8000, 0x86A0, 0x0001, 0x8001]


async def test_a_read_may_begin_or_end_inside_a_number(client: AsyncModbusTcpClient) -> None:
    answer = await client.read_holding_registers(101, count=2, device_id=1)
    assert answer.registers == [0x8000, 0x86A0]


async def test_input_registers_are_a_table_of_their_own(client: AsyncModbusTcpClient) -> None:
    assert (await client.read_input_registers(0, count=1, device_id=1)).registers == [65536 - 125]


async def test_coils_are_packed_from_the_first_asked(client: AsyncModbusTcpClient) -> None:
    answer = await client.read_coils(2, count=9, device_id=1)
    assert answer.bits[:9] == [n % 3 == 0 for n in range(2, 11)]


async def test_values_are_those_of_the_moment_of_the_request(
    client: AsyncModbusTcpClient, truth: Truth
) -> None:
    for seconds in (0, 1, 1_700_000_000):
        truth.now_ns = seconds * 1_000_000_000
        answer = await client.read_holding_registers(0, count=4, device_id=2)
        assert client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT64) == seconds


@pytest.mark.parametrize(
    ("address", "count", "device_id", "exception"),
    [(105, 1, 1, 2), (99, 2, 1, 2), (0, 1, 1, 2), (100, 1, 9, 11)],
)
async def test_what_does_not_exist_is_refused(
    client: AsyncModbusTcpClient, address: int, count: int, device_id: int, exception: int
) -> None:
    answer = await client.read_holding_registers(address, count=count, device_id=device_id)
    assert isinstance(answer, ExceptionResponse)
    assert answer.exception_code == exception


async def test_it_cannot_be_written(client: AsyncModbusTcpClient) -> None:
    answer = await client.write_register(100, 1, device_id=1)
    assert isinstance(answer, ExceptionResponse)
    assert answer.exception_code == 1


async def test_a_count_beyond_the_protocol_is_an_illegal_value(server: ModbusServer) -> None:
    assert server.answer(Request(5, 1, 3, 100, 126)) == b"\x00\x05\x00\x00\x00\x03\x01\x83\x03"
    assert server.answer(Request(5, 1, 3, 100, 0)) == b"\x00\x05\x00\x00\x00\x03\x01\x83\x03"


async def test_a_unit_of_which_a_value_is_nan_is_off_the_wire(
    client: AsyncModbusTcpClient, truth: Truth
) -> None:
    truth.voltage = math.nan
    with pytest.raises(ModbusIOException):
        await client.read_input_registers(0, count=1, device_id=1)
    assert not (await client.read_holding_registers(0, count=4, device_id=2)).isError()


async def test_a_value_too_large_for_its_register_is_a_device_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = ModbusServer("127.0.0.1", 0, {1: [served("full", 70_000, register=0)]}, lambda: 0)
    assert server.answer(Request(5, 1, 3, 0, 1)) == b"\x00\x05\x00\x00\x00\x03\x01\x83\x04"
    assert "70000" in caplog.text


async def test_pipelined_requests_are_all_answered_in_order(server: ModbusServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"".join(n.to_bytes(2, "big") + b"\0\0\0\x06\x01\x03\x00\x66\x00\x02" for n in range(50)))
    for transaction in range(50):
        frame = await asyncio.wait_for(reader.readexactly(13), 2)
        assert frame == transaction.to_bytes(2, "big") + b"\0\0\0\x07\x01\x03\x04\x86\xa0\x00\x01"
    writer.close()
    await writer.wait_closed()


async def test_rubbish_ends_the_connection_and_no_other(
    server: ModbusServer, client: AsyncModbusTcpClient
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await asyncio.wait_for(reader.read(1), 2) == b""
    writer.close()
    await writer.wait_closed()
    assert not (await client.read_holding_registers(100, count=5, device_id=1)).isError()


async def test_a_tamper_may_answer_late_or_not_at_all(
    server: ModbusServer, client: AsyncModbusTcpClient
) -> None:
    async def silence(_: Request, __: bytes | None) -> None:
        return None

    server.tamper = silence
    with pytest.raises(ModbusIOException):
        await client.read_holding_registers(100, count=5, device_id=1)

    async def delay(_: Request, frame: bytes | None) -> bytes | None:
        await asyncio.sleep(0.05)
        return frame

    server.tamper = delay
    began = time.monotonic()
    assert not (await client.read_holding_registers(100, count=5, device_id=1)).isError()
    assert time.monotonic() - began >= 0.05


async def test_it_can_be_stopped_and_started_on_the_same_port(server: ModbusServer) -> None:
    port = server.port
    for _ in range(3):
        await server.stop()
        await server.start()
        assert server.port == port
