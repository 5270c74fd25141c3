"""faults.md 22-25: holes, short reads, wrong frames, half-open connections.

Seen failing without the handling:
22  `_split` in drivers/modbus/learning.py returning `learned`: all points of the block stay bad.
23  `_shorter` returning `learned`: every point is refused for ever.
24  wrong unit: `_Connection` not comparing the unit; transaction id: not looking it up; either way a foreign
    answer is taken. Corrupt: `ReadRequest.payload` not comparing the byte count. Truncated: several layers
    catch it; removing one of them (`_lose_step` in `_expire`) was not enough to see it fail.
25  `_TIMEOUTS_TO_CLOSE` at a million: the meter never comes back.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers.base import Quality
from gateway.app import Gateway
from simulators.faults import FaultBoard, FaultKind, SimulatedFault
from simulators.faulty_modbus import FaultyModbus
from simulators.modbus import ModbusServer, Request
from tests.faults.harness import device, good, point, qualities, register, running, stored, until, write

POINTS = 40
"""f64 at 0, 4, 8, ... : 160 registers."""


def value(number: int) -> float:
    return 1000.0 + number


def site(port: int, points: int = POINTS, every: str = "200ms", more: str = "") -> str:
    lines = "".join(
        f"      p{n}: {{register: {4 * n}, type: f64, unit: kW, quantity: electric_power}}\n"
        for n in range(points)
    )
    return (
        f"devices:\n  meter:\n    driver: modbus-tcp\n    host: 127.0.0.1\n    port: {port}\n"
        f"    every: {every}\n"
        f"    timeout: 150ms\n{more}    points:\n{lines}"
    )


def served(points: int = POINTS, without: int | None = None) -> list[object]:
    return [
        register(f"p{n}", 4 * n, lambda _, n=n: value(n))  # type: ignore[misc]
        for n in range(points)
        if n != without
    ]


def values(gateway: Gateway) -> dict[str, float | None]:
    return {one.point: one.value for one in gateway.points("meter")}


async def test_22_an_illegal_hole_costs_its_point_alone_and_is_learned_within_one_poll(
    tmp_path: Path,
) -> None:
    server = ModbusServer("127.0.0.1", 0, {1: served(without=7)}, time.time_ns)  # type: ignore[dict-item]
    await server.start()
    async with running(write(tmp_path, site(server.port))) as gateway:
        await until(lambda: point(gateway, "p0", "meter").time > 0, 10, "the first poll")
        found = values(gateway)
        assert found.pop("p7") is None
        assert found == {f"p{n}": value(n) for n in range(POINTS) if n != 7}
        assert point(gateway, "p7", "meter").fault == "no_such_address"
        before = server.requests
        polled = point(gateway, "p0", "meter").time
        await until(lambda: point(gateway, "p0", "meter").time > polled + 900_000_000, 5, "more polls")
        asked = server.requests - before
        assert asked <= 3 * 7, "the hole is known: it is not looked for at each poll"
    await server.stop()


async def test_23_a_limit_below_125_registers_is_found_and_kept(tmp_path: Path) -> None:
    server = ModbusServer("127.0.0.1", 0, {1: served()}, time.time_ns)  # type: ignore[dict-item]
    refused = 0

    async def at_most_60(request: Request, frame: bytes | None) -> bytes | None:
        nonlocal refused
        if request.count <= 60 or frame is None:
            return frame
        refused += 1
        return frame[:4] + b"\0\3" + frame[6:7] + bytes([0x83, 3])

    server.tamper = at_most_60
    await server.start()
    async with running(write(tmp_path, site(server.port))) as gateway:
        await until(lambda: point(gateway, "p0", "meter").time > 0, 10, "the first poll")
        assert values(gateway) == {f"p{n}": value(n) for n in range(POINTS)}
        refused_at_first = refused
        polled = point(gateway, "p0", "meter").time
        await until(lambda: point(gateway, "p0", "meter").time > polled + 900_000_000, 5, "more polls")
        assert refused_at_first > 0
        assert refused == refused_at_first, "the limit is known: no longer read is tried again"
    await server.stop()


@asynccontextmanager
async def breakable(folder: Path) -> AsyncIterator[tuple[Gateway, FaultBoard]]:
    """A gateway reading one meter that can be broken."""
    board = FaultBoard(seed=5)
    endpoint = FaultyModbus(board, "127.0.0.1", 0, {1: ("meter", served(10))}, time.time_ns)  # type: ignore[dict-item]
    await endpoint.start()
    try:
        async with running(write(folder, site(endpoint.port, 10))) as gateway:
            await until(lambda: point(gateway, "p0", "meter").value is not None, 10, "the first poll")
            yield gateway, board
    finally:
        await board.close()
        await endpoint.stop()


@pytest.mark.parametrize(
    "kind", [FaultKind.WRONG_UNIT, FaultKind.WRONG_TRANSACTION, FaultKind.CORRUPT, FaultKind.TRUNCATE]
)
async def test_24_a_frame_that_is_no_answer_is_discarded_and_the_points_are_bad(
    tmp_path: Path, kind: FaultKind
) -> None:
    async with breakable(tmp_path) as (gateway, board):
        await board.set("meter", SimulatedFault(kind))
        await until(lambda: not device(gateway, "meter").online, 3, "bad points")
        assert device(gateway, "meter").fault in ("garbled", "no_answer")
        await until(lambda: set(values(gateway).values()) == {None}, 1, "bad points")
        await board.clear()
        await until(lambda: point(gateway, "p9", "meter").value == value(9), 6, "good points")
    for number in range(10):
        samples = stored(tmp_path, "meter", f"p{number}")
        assert set(good(samples).tolist()) == {value(number)}, "no foreign value is ever stored"
        assert qualities(samples) <= {Quality.GOOD, Quality.COMM_LOST}


async def test_25_a_half_open_connection_is_noticed_within_the_timeout_and_replaced(tmp_path: Path) -> None:
    async with breakable(tmp_path) as (gateway, board):
        await board.set("meter", SimulatedFault(FaultKind.HALF_OPEN))
        noticed = await until(lambda: not device(gateway, "meter").online, 3, "noticing")
        assert noticed <= 0.2 + 0.15 + 0.25, "a period, a timeout, a commit"
        await until(lambda: device(gateway, "meter").online, 10, "a new connection")
        await until(lambda: point(gateway, "p3", "meter").value == value(3), 2, "good points")
