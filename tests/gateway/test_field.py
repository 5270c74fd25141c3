"""What a reload touches, and what a lost device says in the data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import pytest

from drivers.base import (
    Batch,
    Deliver,
    Delivery,
    Device,
    Fault,
    FaultCode,
    Figure,
    Kind,
    LinkError,
    Memory,
    PollGroup,
    PollResult,
    Quality,
    Settings,
    all_bad,
)
from drivers.registry import DriverKind
from gateway.clock import SteppedClock
from gateway.devices import DeviceBoard
from gateway.field import Field
from gateway.site import DeviceSpec, LinkSpec, PointSpec
from gateway.supervision import Supervisor


class Box(Settings):
    """Settings of the test driver."""

    host: str = "a"


class TestDriver:
    """Notes what is done to it; devices in `dead` do not answer."""

    __test__ = False
    made: list[TestDriver]
    dead: set[str]
    broken_links: set[str]
    asking: set[str]
    """Devices whose question runs into its timeout just now."""
    clock: SteppedClock
    timeout_s: float

    def __init__(self, link: str, settings: Settings, now: Callable[[], int]) -> None:
        self.link, self.opens, self.closes = link, 0, 0
        self.published: list[str] = []
        self.assigned: list[Device] = []
        self.made.append(self)
        self.now = now
        self.deliver: Deliver | None = None

    async def open(self, deliver: Deliver) -> None:
        if self.link in self.broken_links:
            raise LinkError("no such port")
        self.opens += 1
        self.deliver = deliver

    async def assign(self, devices: Sequence[Device]) -> None:
        self.assigned = list(devices)

    async def poll(self, group: PollGroup, *, trace: bool = False) -> PollResult:
        if group.device in self.dead:
            self.asking.add(group.device)
            await self.clock.sleep_until(self.clock.monotonic() + self.timeout_s)
            self.asking.discard(group.device)
            return all_bad(group, self.now(), Fault(FaultCode.NO_ANSWER), Quality.COMM_LOST, 0.1)
        return PollResult(Batch.of([point.series for point in group.points], self.now(), 1.0), 0.01)

    async def close(self) -> None:
        self.closes += 1

    def publish(self, figures: Sequence[Figure]) -> None:
        self.published = [figure.key for figure in figures]


def point(device: str, name: str, every_s: float = 1.0) -> PointSpec:
    return PointSpec(device, name, Box(), "electric_power", "kW", "kW", Kind.GAUGE, every_s)


def device(name: str, link: str = "plant", host: str = "a", driver: str = "test") -> DeviceSpec:
    points = (point(name, "power"), point(name, "energy", 10.0))
    return DeviceSpec(name, link, driver, Box(host=host), points)


class Plant:
    """A field on a stepped clock with the test driver behind it."""

    def __init__(self) -> None:
        self.clock = SteppedClock(10**18)
        self.board = DeviceBoard(self.clock.monotonic)
        self.supervisor = Supervisor(self.clock)
        self.batches: list[Batch] = []
        self.field = Field(self.clock, self.supervisor, self.board, self._accept)

    async def _accept(self, batch: Batch, committed: Callable[[], None] | None) -> None:
        self.batches.append(batch)

    async def apply(self, *devices: DeviceSpec, **links: LinkSpec) -> None:
        chosen = links or {"plant": LinkSpec("plant", devices[0].driver, Box())}
        self.board.use(devices)
        ids = {one.key: number for number, one in enumerate(p for d in devices for p in d.points)}
        await self.field.apply(chosen, {one.name: one for one in devices}, ids)
        await self.let_pass(0.2)

    async def let_pass(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / 0.1))):
            await self.clock.advance(0.1)
            for _ in range(8):
                await asyncio.sleep(0)

    async def end(self) -> None:
        await self.field.close()
        await self.supervisor.stop_all()


@pytest.fixture
async def plant(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plant]:
    TestDriver.made, TestDriver.dead, TestDriver.broken_links = [], set(), set()
    TestDriver.asking, TestDriver.timeout_s = set(), 0.0

    class Kinds(DriverKind):
        def create(
            self, link: str, settings: Settings, now: Callable[[], int], memory: Memory | None = None
        ) -> TestDriver:
            return TestDriver(link, settings, now)

    kinds = {"test": Kinds("test", "", "", polled=True), "sender": Kinds("sender", "", "", polled=False)}
    monkeypatch.setattr("gateway.field.KINDS", kinds)
    plant = Plant()
    TestDriver.clock = plant.clock
    yield plant
    await plant.end()


async def test_the_same_configuration_again_reconnects_nothing(plant: Plant) -> None:
    await plant.apply(device("a"), device("b"))
    await plant.apply(device("a"), device("b"))
    (driver,) = TestDriver.made
    assert (driver.opens, driver.closes) == (1, 0)


async def test_a_new_device_on_a_link_does_not_reopen_the_link(plant: Plant) -> None:
    await plant.apply(device("a"))
    await plant.apply(device("a"), device("b"))
    (driver,) = TestDriver.made
    assert (driver.opens, driver.closes) == (1, 0)
    assert [one.name for one in driver.assigned] == ["a", "b"]


async def test_a_changed_link_alone_is_closed_and_opened_again(plant: Plant) -> None:
    first = {"one": LinkSpec("one", "test", Box()), "two": LinkSpec("two", "test", Box())}
    await plant.apply(device("a", "one"), device("b", "two"), **first)
    changed = first | {"two": LinkSpec("two", "test", Box(host="elsewhere"))}
    await plant.apply(device("a", "one"), device("b", "two"), **changed)
    assert [(one.link, one.closes) for one in TestDriver.made] == [("one", 0), ("two", 1), ("two", 0)]


async def test_a_link_without_devices_is_closed(plant: Plant) -> None:
    await plant.apply(device("a"))
    await plant.field.apply({}, {}, {})
    assert TestDriver.made[0].closes == 1


async def test_a_lost_device_says_so_in_all_of_its_points_also_those_not_due(plant: Plant) -> None:
    await plant.apply(device("a"))
    await plant.let_pass(12)
    assert plant.board["a"].online
    TestDriver.dead.add("a")
    plant.batches.clear()
    await plant.let_pass(1.2)
    lost = Batch.concat(plant.batches)
    bad = lost.quality == Quality.COMM_LOST
    assert set(lost.series[bad].tolist()) == {0, 1}
    assert np.isnan(lost.value[bad]).all()
    state = plant.board["a"]
    assert not state.online
    assert state.fault is not None
    assert state.fault.code == FaultCode.NO_ANSWER


async def test_a_device_that_returns_is_online_since_its_return(plant: Plant) -> None:
    await plant.apply(device("a"))
    await plant.let_pass(2)
    TestDriver.dead.add("a")
    await plant.let_pass(3)
    TestDriver.dead.clear()
    before = plant.clock.now_ns()
    await plant.let_pass(5)
    state = plant.board["a"]
    assert state.online
    assert state.since >= before
    assert state.fault is None


async def test_a_link_that_cannot_open_says_why_and_is_tried_again(plant: Plant) -> None:
    TestDriver.broken_links.add("plant")
    await plant.apply(device("a"))
    state = plant.board["a"]
    assert state.fault is not None
    assert "no such port" in state.fault.detail
    TestDriver.broken_links.clear()
    await plant.let_pass(35)
    assert plant.board["a"].online


async def test_a_sender_is_stale_after_three_of_its_periods(plant: Plant) -> None:
    await plant.apply(device("s", driver="sender"))
    deliver = TestDriver.made[0].deliver
    assert deliver is not None
    await deliver(Delivery("s", Batch.of([0, 1], plant.clock.now_ns(), [1.0, 2.0])))
    await plant.let_pass(29)
    await plant.field.watch_silence()
    assert plant.board["s"].online
    plant.batches.clear()
    await plant.let_pass(2)
    await plant.field.watch_silence()
    state = plant.board["s"]
    assert not state.online
    assert state.fault is not None
    assert state.fault.code == FaultCode.SILENT
    stale = Batch.concat(plant.batches)
    assert set(stale.series[stale.quality == Quality.STALE].tolist()) == {0, 1}


async def test_a_sender_that_says_it_is_gone_is_believed(plant: Plant) -> None:
    await plant.apply(device("s", driver="sender"))
    deliver = TestDriver.made[0].deliver
    assert deliver is not None
    await deliver(
        Delivery("s", Batch.of([0], 1, [np.nan], 32), fault=Fault(FaultCode.NO_ANSWER, "broker gone"))
    )
    assert not plant.board["s"].online


async def test_a_device_removed_while_its_question_times_out_ends_quietly(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    await plant.apply(device("a"), device("b"))
    TestDriver.dead.add("a")
    TestDriver.timeout_s = 0.5
    before = len(plant.batches)
    while plant.clock.monotonic() < 5 and not TestDriver.asking:
        await plant.let_pass(0.1)
    assert TestDriver.asking == {"a"}
    await plant.apply(device("b"))
    await plant.let_pass(2)
    assert plant.supervisor.crashes == {}
    assert "crashed" not in caplog.text
    assert len(plant.batches) > before


async def test_a_step_of_the_clock_makes_no_sender_silent_and_hides_no_silence(plant: Plant) -> None:
    await plant.apply(device("s", driver="sender"))
    deliver = TestDriver.made[0].deliver
    assert deliver is not None
    await deliver(Delivery("s", Batch.of([0, 1], plant.clock.now_ns(), [1.0, 2.0])))
    plant.clock.step_utc(3600)
    await plant.let_pass(5)
    await plant.field.watch_silence()
    assert plant.board["s"].online
    plant.clock.step_utc(-7200)
    await plant.let_pass(26)
    await plant.field.watch_silence()
    assert not plant.board["s"].online


async def test_figures_reach_the_links_that_are_open_and_offer_them(plant: Plant) -> None:
    TestDriver.broken_links.add("closed")
    links = {name: LinkSpec(name, "test", Box()) for name in ("plant", "closed")}
    await plant.apply(device("a"), device("b", "closed"), **links)
    plant.field.publish([Figure("energy_savings", "Energy savings", 21.0, "%")])
    assert {driver.link: driver.published for driver in TestDriver.made} == {
        "plant": ["energy_savings"],
        "closed": [],
    }
