"""Frames over TCP: answers find their requests, and everything else is discarded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

import pytest

from drivers.base import FaultCode
from drivers.modbus import tcp
from drivers.modbus.client import Client, ReadRequest
from drivers.modbus.errors import ExceptionAnswer, Garbled, NoAnswer, NotConnected, Refused
from drivers.modbus.settings import TcpLinkSettings
from drivers.modbus.stock import StockTcpClient
from drivers.modbus.tcp import TcpClient, tcp_client
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer, Request
from tests.drivers.modbus.simulated_meter import settings

ANSWER_OF_7 = b"\x00\x07"


def register(address: int, count: int = 1, unit: int = 1) -> ReadRequest:
    return ReadRequest(unit, 3, address, count)


def constant(value: float) -> Callable[[int], float]:
    return lambda _: value


@pytest.fixture
async def server() -> AsyncIterator[ModbusServer]:
    """Registers 0-199 of unit 1 hold their own address; coils 0-19 are on where odd."""
    points = [ServedPoint(f"r{n}", settings(register=n), constant(float(n))) for n in range(200)]
    points += [ServedPoint(f"c{n}", settings(register=n, table="coil"), constant(n % 2)) for n in range(20)]
    server = ModbusServer("127.0.0.1", 0, {1: points}, time.time_ns)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: ModbusServer) -> AsyncIterator[TcpClient]:
    client = TcpClient(link(server))
    yield client
    client.close()
    await asyncio.sleep(0)


def link(server: ModbusServer, **more: object) -> TcpLinkSettings:
    return TcpLinkSettings.model_validate({"host": "127.0.0.1", "port": server.port, "timeout": 0.1} | more)


@pytest.mark.parametrize(
    "request_",
    [
        register(7),
        register(0, 125),
        ReadRequest(1, 1, 0, 20),
        ReadRequest(1, 1, 3, 9),
        ReadRequest(1, 1, 0, 16),
    ],
)
async def test_it_reads_the_same_bytes_as_pymodbus(server: ModbusServer, request_: ReadRequest) -> None:
    ours, stock = TcpClient(link(server)), StockTcpClient(link(server))
    assert await ours.ask(request_) == await stock.ask(request_)
    ours.close()
    stock.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("make", [TcpClient, StockTcpClient])
async def test_both_clients_report_the_exception_code(
    server: ModbusServer, make: Callable[[TcpLinkSettings], Client]
) -> None:
    client = make(link(server))
    with pytest.raises(ExceptionAnswer) as refused:
        await client.ask(register(5000))
    assert refused.value.exception == 2
    client.close()
    await asyncio.sleep(0)


async def test_an_untested_pymodbus_is_used_as_it_is_with_a_log_line(
    server: ModbusServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tcp.pymodbus, "__version__", "9.9.9")
    with caplog.at_level(logging.WARNING):
        client = tcp_client(link(server))
    assert isinstance(client, StockTcpClient)
    assert "pymodbus 9.9.9 is not one of the tested versions" in caplog.text
    assert await client.ask(register(7)) == ANSWER_OF_7
    client.close()
    await asyncio.sleep(0)


async def test_the_installed_pymodbus_is_a_tested_one(server: ModbusServer) -> None:
    assert isinstance(tcp_client(link(server)), TcpClient)


async def test_a_peer_that_hangs_up_fails_the_request_at_once(server: ModbusServer) -> None:
    client = TcpClient(link(server, timeout=5))

    async def hang_up(_: Request, __: bytes | None) -> bytes:
        raise ConnectionAbortedError

    server.tamper = hang_up
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="closed the connection"):
        await client.ask(register(7))
    assert time.monotonic() - began < 1
    client.close()


async def test_an_answer_of_another_unit_or_transaction_is_discarded(
    server: ModbusServer, client: TcpClient
) -> None:
    async def misdeliver(_: Request, frame: bytes | None) -> bytes | None:
        assert frame is not None
        wrong_unit = frame[:6] + b"\x09" + frame[7:-1] + b"\x63"
        wrong_transaction = b"\xff\xff" + frame[2:-1] + b"\x63"
        return wrong_unit + wrong_transaction + frame

    server.tamper = misdeliver
    assert await client.ask(register(7)) == ANSWER_OF_7


async def test_only_foreign_answers_are_garble(server: ModbusServer, client: TcpClient) -> None:
    async def other_unit(_: Request, frame: bytes | None) -> bytes | None:
        return frame and frame[:6] + b"\x09" + frame[7:]

    server.tamper = other_unit
    with pytest.raises(Garbled, match="another request or unit"):
        await client.ask(register(7))


async def test_a_late_answer_is_not_taken_for_the_next_one(server: ModbusServer, client: TcpClient) -> None:
    async def late_once(request: Request, frame: bytes | None) -> bytes | None:
        if request.address == 1:
            await asyncio.sleep(0.15)
        return frame

    server.tamper = late_once
    with pytest.raises(NoAnswer, match="silent"):
        await client.ask(register(1))
    assert await client.ask(register(7)) == ANSWER_OF_7


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (b"\x00\x01\x00\x05\x00\x05\x01\x03\x02\x00\x07", "no Modbus frame"),
        (b"\x00\x01\x00\x00\xff\xff\x01\x03\x02\x00\x07", "no Modbus frame"),
        (b"\x00\x01\x00\x00\x00\x05\x01\x03\x02", "stayed incomplete"),
        (b"\x00\x01\x00\x00\x00\x05\x01\x04\x02\x00\x07", "no answer to function 3"),
        (b"\x00\x01\x00\x00\x00\x05\x01\x03\x03\x00\x07", "no answer to function 3"),
        (b"\x00\x01\x00\x00\x00\x07\x01\x03\x04\x00\x07\x00\x08", "4 bytes for 1"),
    ],
)
async def test_a_malformed_answer_is_garbled_and_the_next_is_read(
    server: ModbusServer, client: TcpClient, frame: bytes, complaint: str
) -> None:
    async def malformed(request: Request, true_frame: bytes | None) -> bytes | None:
        return frame if request.address == 1 else true_frame

    server.tamper = malformed
    with pytest.raises(Garbled, match=complaint):
        await client.ask(register(1))
    assert await client.ask(register(7)) == ANSWER_OF_7


async def test_an_answer_in_single_bytes_is_put_together(client: TcpClient, server: ModbusServer) -> None:
    await client.ask(register(0))
    connection = client._connection
    assert connection is not None
    reading = asyncio.create_task(connection.ask(register(7)))
    await asyncio.sleep(0)
    for byte in b"\x00\x02\x00\x00\x00\x05\x01\x03\x02\x00\x63":
        connection.data_received(bytes([byte]))
    assert await reading == b"\x00\x63"


async def test_a_half_open_connection_is_given_up_after_three_timeouts(
    server: ModbusServer, client: TcpClient
) -> None:
    async def black_hole(_: Request, __: bytes | None) -> None:
        return None

    server.tamper = black_hole
    await asyncio.gather(*(client.ask(register(n)) for n in range(3)), return_exceptions=True)
    assert client._connection is not None
    assert not client._connection.alive
    server.tamper = None
    assert await client.ask(register(7)) == ANSWER_OF_7


async def test_requests_wait_for_each_other_by_default(server: ModbusServer, client: TcpClient) -> None:
    assert await _most_at_once(server, client) == 1


async def test_requests_overlap_where_the_link_allows_it(server: ModbusServer) -> None:
    client = TcpClient(link(server, max_in_flight=4, timeout=2))
    answers = await asyncio.gather(*(client.ask(register(n)) for n in range(150)))
    assert answers == [n.to_bytes(2, "big") for n in range(150)]
    client.close()


async def _most_at_once(server: ModbusServer, client: TcpClient) -> int:
    most = 0

    async def watch(_: Request, frame: bytes | None) -> bytes | None:
        nonlocal most
        assert client._connection is not None
        most = max(most, len(client._connection._pending))
        return frame

    server.tamper = watch
    await asyncio.gather(*(client.ask(register(n)) for n in range(10)))
    return most


async def test_after_a_refusal_it_does_not_knock_again_at_once(server: ModbusServer) -> None:
    client = TcpClient(link(server))
    await server.stop()
    with pytest.raises(Refused, match="refused"):
        await client.ask(register(7))
    await server.start()
    with pytest.raises(Refused, match="refused"):
        await client.ask(register(7))
    await asyncio.sleep(0.35)
    assert await client.ask(register(7)) == ANSWER_OF_7
    client.close()


async def test_a_host_that_does_not_answer_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def black_hole(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", black_hole)
    client = TcpClient(TcpLinkSettings(host="10.0.0.20", connect_timeout=0.05))
    with pytest.raises(NotConnected, match=r"no connection to 10\.0\.0\.20:502 within 0\.05 s") as absent:
        await client.ask(register(7))
    assert absent.value.fault.code is FaultCode.NO_ANSWER


async def test_a_name_with_several_addresses_may_refuse_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", refuse)
    with pytest.raises(Refused):
        await TcpClient(TcpLinkSettings(host="localhost")).ask(register(7))


async def test_a_closed_client_stays_closed(server: ModbusServer, client: TcpClient) -> None:
    client.close()
    with pytest.raises(NotConnected, match="closed"):
        await client.ask(register(7))
