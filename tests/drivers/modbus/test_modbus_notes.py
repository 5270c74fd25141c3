"""What a device taught outlives the driver: for this unit, at this endpoint, for a day."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from drivers.base import Device, FaultCode, PollGroup, PollResult
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.notes import from_text, to_text
from drivers.modbus.plan import Learned
from drivers.modbus.settings import DeviceSettings, PointSettings, Table, TcpLinkSettings
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer, Request
from tests.drivers.modbus.simulated_meter import discard, points_of, settings

DAY_NS = 86_400 * 10**9


class Shelf:
    """A memory that outlives drivers."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    def recall(self, key: str) -> str | None:
        return self.notes.get(key)

    def learn(self, key: str, value: str | None) -> None:
        if value is None:
            self.notes.pop(key, None)
        else:
            self.notes[key] = value


@dataclass
class Bench:
    """A device with these registers, and drivers that come and go beside it."""

    server: ModbusServer
    shelf: Shelf = field(default_factory=Shelf)
    now_ns: int = 1_700_000_000 * 10**9
    running: list[ModbusDriver] = field(default_factory=list)

    async def start(
        self, places: dict[str, PointSettings], unit_id: int = 1
    ) -> Callable[[], Awaitable[PollResult]]:
        """A new driver with nothing in its head but what the memory has; returns its poll."""
        link = TcpLinkSettings(host="127.0.0.1", port=self.server.port, timeout=0.5)
        driver = ModbusDriver(link, lambda: self.now_ns, monotonic=lambda: 50.0, memory=self.shelf)
        group = PollGroup("meter", 1.0, points_of(places))
        await driver.open(discard)
        await driver.assign([Device("meter", DeviceSettings(unit_id=unit_id), (group,))])
        self.running.append(driver)
        return lambda: driver.poll(group)

    async def requests_of_first_poll(self, places: dict[str, PointSettings], unit_id: int = 1) -> int:
        poll = await self.start(places, unit_id)
        before = self.server.requests
        await poll()
        return self.server.requests - before


MakeBench = Callable[[set[int]], Awaitable[Bench]]


@pytest.fixture
async def make_bench() -> AsyncIterator[MakeBench]:
    made: list[Bench] = []

    async def make(registers: set[int]) -> Bench:
        served = [ServedPoint(f"r{n}", settings(register=n), lambda _, n=n: float(n)) for n in registers]  # type: ignore[misc]
        server = ModbusServer("127.0.0.1", 0, {1: served, 2: served}, lambda: 0)
        await server.start()
        made.append(Bench(server))
        return made[-1]

    yield make
    for bench in made:
        for driver in bench.running:
            await driver.close()
        await bench.server.stop()


def words(registers: set[int]) -> dict[str, PointSettings]:
    return {f"r{n}": settings(register=n) for n in sorted(registers)}


async def at_most_32(request: Request, frame: bytes | None) -> bytes | None:
    if request.count <= 32 or frame is None:
        return frame
    return frame[:4] + b"\0\x03" + bytes([request.unit, request.function | 0x80, 3])


async def test_a_hole_is_known_after_a_restart(make_bench: MakeBench) -> None:
    bench = await make_bench(set(range(40)) - {17})
    assert await bench.requests_of_first_poll(words(set(range(40)))) > 2
    poll = await bench.start(words(set(range(40))))
    before = bench.server.requests
    result = await poll()
    assert bench.server.requests - before == 2, "one read on each side of the hole"
    assert {series: fault.code for series, fault in result.point_faults.items()} == {
        17: FaultCode.NO_SUCH_ADDRESS
    }


async def test_a_length_limit_is_known_after_a_restart(make_bench: MakeBench) -> None:
    bench = await make_bench(set(range(100)))
    bench.server.tamper = at_most_32
    assert await bench.requests_of_first_poll(words(set(range(100)))) > 4
    assert await bench.requests_of_first_poll(words(set(range(100)))) == 4


async def test_what_was_learned_is_asked_again_after_a_day(make_bench: MakeBench) -> None:
    bench = await make_bench(set(range(40)) - {17})
    learning = await bench.requests_of_first_poll(words(set(range(40))))
    bench.now_ns += DAY_NS
    assert await bench.requests_of_first_poll(words(set(range(40)))) == learning


async def test_a_clock_that_was_wrong_is_not_believed(make_bench: MakeBench) -> None:
    bench = await make_bench(set(range(40)) - {17})
    learning = await bench.requests_of_first_poll(words(set(range(40))))
    bench.now_ns -= 5 * 10**9
    assert await bench.requests_of_first_poll(words(set(range(40)))) == learning


async def test_another_unit_in_its_place_is_asked_anew(make_bench: MakeBench) -> None:
    bench = await make_bench(set(range(40)) - {17})
    learning = await bench.requests_of_first_poll(words(set(range(40))))
    assert await bench.requests_of_first_poll(words(set(range(40))), unit_id=2) == learning


async def test_a_note_that_is_none_of_ours_is_forgotten(make_bench: MakeBench) -> None:
    bench = await make_bench({0, 1})
    bench.shelf.notes["meter/modbus"] = '{"of": 3, "since": []}'
    assert await bench.requests_of_first_poll(words({0, 1})) == 1


@pytest.mark.parametrize("text", [None, "", "no json", "[]", "{}", '{"of": "a", "since": "b"}', "null", "7"])
def test_no_text_whatever_breaks_the_start(text: str | None) -> None:
    assert from_text("a", text, 0.0) is None


def test_a_lesson_survives_its_text() -> None:
    learned = Learned(32, 100, frozenset({(Table.INPUT, 5)}), frozenset({(Table.HOLDING, 7, 2)}))
    assert from_text("a", to_text("a", (learned, 1000.0)), 1500.0) == (learned, 1000.0)


# --- the acceptance figures: 120 points scattered over 250 registers


@pytest.mark.parametrize("seed", range(3))
async def test_120_points_over_250_registers_need_at_most_2_requests(
    make_bench: MakeBench, seed: int
) -> None:
    bench = await make_bench(set(range(250)))
    wanted = set(random.Random(seed).sample(range(250), 120))
    assert await bench.requests_of_first_poll(words(wanted)) <= 2


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hole_is_a_point", [True, False], ids=["a point", "between points"])
async def test_after_an_illegal_hole_is_learned_they_need_at_most_3(
    make_bench: MakeBench, seed: int, hole_is_a_point: bool
) -> None:
    draw = random.Random(seed)
    wanted = set(draw.sample(range(250), 120))
    inside = range(min(wanted) + 1, max(wanted))
    hole = draw.choice([n for n in inside if (n in wanted) is hole_is_a_point])
    bench = await make_bench(set(range(250)) - {hole})
    poll = await bench.start(words(wanted))
    first = await poll()
    bad = {name for name, quality in zip(sorted(wanted), first.batch.quality, strict=True) if quality}
    assert bad == ({hole} & wanted), "the good points survive the poll that finds the hole"
    before = bench.server.requests
    await poll()
    assert bench.server.requests - before <= 3
    assert await bench.requests_of_first_poll(words(wanted)) <= 3, "also after a restart"


async def test_a_device_that_calls_a_hole_an_illegal_value_keeps_its_long_reads(
    make_bench: MakeBench,
) -> None:
    """Exception 3 usually means "too long", but some devices say it of registers they do not have."""
    bench = await make_bench(set(range(100)))

    async def hole_at_50(request: Request, frame: bytes | None) -> bytes | None:
        if not request.address <= 50 < request.address + request.count:
            return frame
        body = bytes([request.unit, request.function | 0x80, 3])
        return request.transaction.to_bytes(2, "big") + b"\0\0\0\x03" + body

    bench.server.tamper = hole_at_50
    poll = await bench.start(words(set(range(100))))
    assert (await poll()).point_faults.keys() == {50}
    before = bench.server.requests
    await poll()
    assert bench.server.requests - before == 2
