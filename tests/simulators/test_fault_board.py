"""Faults on demand: what each does to values, to frames and to the receiver, and who may set it how."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from drivers.modbus.settings import PointSettings
from simulators.base import ServedPoint
from simulators.cloud import Receiver
from simulators.control import ControlServer
from simulators.faults import FaultBoard, FaultError, FaultKind, SimulatedFault
from simulators.faulty_cloud import FaultyCloud
from simulators.faulty_modbus import FaultyModbus
from simulators.schedule import follow, load_schedule

SECOND = 10**9


class Time:
    now = 1_000 * SECOND


def energy(name: str = "energy", **settings: object) -> ServedPoint:
    """Rises by one a second."""
    place = PointSettings.model_validate({"register": 0, "type": "u32"} | settings)
    return ServedPoint(name, place, lambda at: at / SECOND, "kWh")


@pytest.fixture
async def meter() -> AsyncIterator[tuple[FaultBoard, FaultyModbus]]:
    board = FaultBoard(lambda: Time.now, seed=1)
    endpoint = FaultyModbus(
        board, "127.0.0.1", 0, {1: ("meter", [energy()]), 2: ("other", [energy()])}, lambda: Time.now
    )
    await endpoint.start()
    yield board, endpoint
    await board.close()
    await endpoint.stop()


@pytest.fixture
async def client(meter: tuple[FaultBoard, FaultyModbus]) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=meter[1].port, timeout=0.2, retries=0)
    await client.connect()
    yield client
    client.close()
    await asyncio.sleep(0)


async def registers(client: AsyncModbusTcpClient, unit: int = 1) -> list[int]:
    answer = await client.read_holding_registers(0, count=2, device_id=unit)
    assert not answer.isError(), answer
    return list(answer.registers)


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (SimulatedFault(FaultKind.FROZEN), 1000.0),
        (SimulatedFault(FaultKind.SPIKE, value=50.0), 50_500.0),
        (SimulatedFault(FaultKind.COUNTER_RESET), 10.0),
        (SimulatedFault(FaultKind.COUNTER_ROLLOVER, seconds=8.0), 2.0),
        (SimulatedFault(FaultKind.COUNTER_ROLLOVER, seconds=11.0, value=1e4), 9_999.0),
        (SimulatedFault(FaultKind.CLOCK_DRIFT, value=0.5), 1015.0),
    ],
)
async def test_a_register_ten_seconds_after_the_fault_was_set(
    meter: tuple[FaultBoard, FaultyModbus], fault: SimulatedFault, shown: float
) -> None:
    board, _ = meter
    point = board.spoiled("meter", energy())
    await board.set("meter", fault)
    assert point.value_at(1_010 * SECOND) == pytest.approx(shown)
    await board.clear("meter")
    assert point.value_at(1_010 * SECOND) == 1010.0


@pytest.mark.parametrize(
    "kind", [FaultKind.DROP, FaultKind.TRUNCATE, FaultKind.WRONG_UNIT, FaultKind.WRONG_TRANSACTION]
)
async def test_a_frame_that_is_no_answer_costs_this_unit_its_answer_and_no_other(
    meter: tuple[FaultBoard, FaultyModbus], client: AsyncModbusTcpClient, kind: FaultKind
) -> None:
    board, _ = meter
    await board.set("meter", SimulatedFault(kind))
    with pytest.raises(ModbusIOException):
        await client.read_holding_registers(0, count=2, device_id=1)
    client.close()
    await client.connect()
    assert await registers(client, unit=2) == [0, 1000]
    await board.clear("meter")
    assert await registers(client) == [0, 1000]


async def test_an_exception_has_the_code_that_was_asked_for(
    meter: tuple[FaultBoard, FaultyModbus], client: AsyncModbusTcpClient
) -> None:
    board, _ = meter
    await board.set("meter", SimulatedFault(FaultKind.EXCEPTION, code=6))
    answer = await client.read_holding_registers(0, count=2, device_id=1)
    assert answer.exception_code == 6


async def test_not_available_is_the_sentinel_of_the_register(
    meter: tuple[FaultBoard, FaultyModbus], client: AsyncModbusTcpClient
) -> None:
    board, _ = meter
    await board.set("meter", SimulatedFault(FaultKind.NOT_AVAILABLE))
    assert await registers(client) == [0xFFFF, 0xFFFF]


async def test_a_reboot_drops_connections_refuses_and_comes_back_by_itself(
    meter: tuple[FaultBoard, FaultyModbus], client: AsyncModbusTcpClient
) -> None:
    board, endpoint = meter
    await board.set("meter", SimulatedFault(FaultKind.REBOOT, for_s=0.2))
    with pytest.raises(OSError):  # noqa: PT011 - refused, whatever the platform calls it
        await asyncio.open_connection("127.0.0.1", endpoint.port)
    await asyncio.sleep(0.3)
    client.close()
    await client.connect()
    assert await registers(client) == [0, 1000]


async def test_a_half_open_connection_stays_up_silent_and_a_new_one_works(
    meter: tuple[FaultBoard, FaultyModbus], client: AsyncModbusTcpClient
) -> None:
    board, _ = meter
    assert await registers(client) == [0, 1000]
    await board.set("meter", SimulatedFault(FaultKind.HALF_OPEN))
    with pytest.raises(ModbusIOException):
        await client.read_holding_registers(0, count=2, device_id=1)
    client.close()
    await client.connect()
    assert await registers(client) == [0, 1000]


async def test_a_share_strikes_that_often_and_the_same_with_the_same_seed() -> None:
    board = FaultBoard(lambda: Time.now, 7)
    FaultyModbus(board, "127.0.0.1", 0, {1: ("meter", [energy()])}, lambda: Time.now)
    again = FaultBoard(lambda: Time.now, 7)
    FaultyModbus(again, "127.0.0.1", 0, {1: ("meter", [energy()])}, lambda: Time.now)
    for one in (board, again):
        await one.set("meter", SimulatedFault(FaultKind.DROP, share=0.3))
    struck = [bool(board.striking("meter", FaultKind.DROP)) for _ in range(1000)]
    assert struck == [bool(again.striking("meter", FaultKind.DROP)) for _ in range(1000)]
    assert 250 < sum(struck) < 350


@pytest.mark.parametrize(
    ("device", "fault", "message"),
    [
        ("metre", SimulatedFault(FaultKind.DROP), "did you mean 'meter'"),
        ("meter", SimulatedFault(FaultKind.LOST_COV), "it can have clock-drift, corrupt"),
        ("meter", SimulatedFault(FaultKind.FROZEN, point="enregy"), "did you mean 'energy'"),
        ("meter", SimulatedFault(FaultKind.DROP, share=0.0), "share"),
    ],
)
async def test_what_cannot_be_set_says_what_can(
    meter: tuple[FaultBoard, FaultyModbus], device: str, fault: SimulatedFault, message: str
) -> None:
    with pytest.raises(FaultError, match=message):
        await meter[0].set(device, fault)


async def test_control_port_sets_lists_and_clears(meter: tuple[FaultBoard, FaultyModbus]) -> None:
    control = ControlServer("127.0.0.1", 0, meter[0])
    await control.start()
    async with httpx.AsyncClient(base_url=control.url, trust_env=False) as http:
        made = await http.post("/faults", json={"device": "meter", "kind": "drop", "for": "30s"})
        assert (made.status_code, made.json()["for_s"]) == (201, 30.0)
        assert [one["kind"] for one in (await http.get("/faults")).json()] == ["drop"]
        assert (await http.get("/devices")).json()["meter"]["points"] == ["energy"]
        wrong = await http.post("/faults", json={"device": "meter", "kind": "drip"})
        assert (wrong.status_code, "one of delay" in wrong.json()["error"]) == (400, True)
        assert (await http.delete("/faults/1")).json() == {"cleared": 1}
        assert (await http.delete("/faults/1")).status_code == 404
        assert (await http.get("/faults")).json() == []
        foreign = await http.get("/faults", headers={"Host": "evil.example"})
        assert foreign.status_code == 400
        form = await http.post("/faults", content=b"{}", headers={"Content-Type": "text/plain"})
        assert form.status_code == 415
    await control.stop()


@pytest.mark.parametrize("code", [400, 401, 404, 413, 429, 503])
async def test_receiver_refuses_with_the_code_and_retry_after(tmp_path: Path, code: int) -> None:
    async with _cloud(tmp_path) as (board, http):
        await board.set("cloud", SimulatedFault(FaultKind.EXCEPTION, code=code, seconds=7))
        answer = await http.post("/api/v2/write", content=b"a v=1 1")
        assert (answer.status_code, answer.headers["Retry-After"]) == (code, "7")
        await board.clear()
        assert (await http.post("/api/v2/write", content=b"a v=1 1")).status_code == 204


async def test_receiver_takes_some_lines_and_names_the_others(tmp_path: Path) -> None:
    async with _cloud(tmp_path) as (board, http):
        await board.set("cloud", SimulatedFault(FaultKind.PARTIAL, value=0.25))
        body = "\n".join(f"a v={n} {n}" for n in range(8)).encode()
        answer = await http.post("/api/v2/write", content=body)
        assert answer.status_code == 400
        assert answer.json()["message"].count("unable to parse") == 2
        assert (await http.get("/stats")).json()["samples"] == 6


async def test_receiver_answers_byte_by_byte(tmp_path: Path) -> None:
    async with _cloud(tmp_path) as (board, http):
        await board.set("cloud", SimulatedFault(FaultKind.SLOW, value=10.0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(http.post("/api/v2/write", content=b"a v=1 1"), 0.5)


async def test_receiver_that_was_away_has_what_it_had(tmp_path: Path) -> None:
    async with _cloud(tmp_path) as (board, http):
        await http.post("/api/v2/write", content=b"a v=1 1")
        await board.set("cloud", SimulatedFault(FaultKind.REBOOT, for_s=0.2))
        with pytest.raises(httpx.ConnectError):
            await http.get("/stats")
        await asyncio.sleep(0.5)
        assert (await http.get("/stats")).json()["samples"] == 1


class _cloud:  # noqa: N801 - reads as the context it is
    """A receiver on its board, and a client to it."""

    def __init__(self, folder: Path) -> None:
        self._receiver = Receiver("127.0.0.1", 0, folder)
        self._board = FaultBoard()
        FaultyCloud(self._board, "cloud", self._receiver)

    async def __aenter__(self) -> tuple[FaultBoard, httpx.AsyncClient]:
        await self._receiver.start()
        self._http = httpx.AsyncClient(base_url=self._receiver.url, trust_env=False)
        return self._board, self._http

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        await self._board.close()
        await self._receiver.stop()


TIMETABLE = """
seed: 3
faults:
  - {at: 10s, device: meter, kind: drop, for: 5s}
  - {every: 1min, jitter: 20s, device: [meter, other], kind: [drop, delay], for: 5s}
"""


def test_a_timetable_is_the_same_with_the_same_seed_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(TIMETABLE)
    first, second = (load_schedule(path).times() for _ in range(2))
    taken = [next(first) for _ in range(50)]
    assert taken == [next(second) for _ in range(50)]
    assert [at for at, _ in taken] == sorted(at for at, _ in taken)
    assert {(one["device"], one["kind"]) for _, one in taken} == {
        (device, kind) for device in ("meter", "other") for kind in ("drop", "delay")
    }


async def test_a_timetable_is_followed(meter: tuple[FaultBoard, FaultyModbus], tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("faults: [{at: 50ms, device: meter, kind: drop}]")
    following = asyncio.create_task(follow(load_schedule(path), meter[0]))
    assert not meter[0].active()
    await asyncio.wait_for(following, 2)
    assert [one.fault.kind for one in meter[0].active("meter")] == [FaultKind.DROP]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faults: [{device: meter, kind: drop}]", "entry 1 has neither"),
        ("faults: [{at: 1s, device: meter, kind: drip}]", "entry 1: fault 'drip' is unknown"),
        ("- 1", "a timetable is a mapping"),
    ],
)
def test_a_wrong_timetable_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(FaultError, match=message):
        load_schedule(path)
