"""Cadence, fairness and backoff of the lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import (
    Batch,
    Deliver,
    Device,
    Fault,
    FaultCode,
    Point,
    PollGroup,
    PollResult,
    Quality,
    Settings,
    all_bad,
)
from gateway.clock import SteppedClock
from gateway.polling import Backoff, Lane, phase


def group(device: str, every_s: float = 1.0) -> PollGroup:
    point = Point(1, device, "power", Settings(), "electric_power", "kW", "kW")
    return PollGroup(device, every_s, (point,))


class FieldOfDevices:
    """A driver whose devices answer at once, except dead ones, which cost their timeout."""

    def __init__(self, clock: SteppedClock, timeout_s: float = 0.5) -> None:
        self.clock = clock
        self.timeout_s = timeout_s
        self.dead: set[str] = set()
        self.slow_s = 0.0
        self.asked: list[tuple[float, str]] = []

    async def open(self, deliver: Deliver) -> None: ...

    async def assign(self, devices: Sequence[Device]) -> None: ...

    async def close(self) -> None: ...

    async def poll(self, group: PollGroup, *, trace: bool = False) -> PollResult:
        self.asked.append((self.clock.monotonic(), group.device))
        if group.device in self.dead:
            await self.clock.sleep_until(self.clock.monotonic() + self.timeout_s)
            return all_bad(group, 0, Fault(FaultCode.NO_ANSWER), Quality.COMM_LOST, self.timeout_s)
        if self.slow_s:
            await self.clock.sleep_until(self.clock.monotonic() + self.slow_s)
        return PollResult(Batch.of([1], 0, [1.0]), 0.01)

    def times(self, device: str) -> list[float]:
        return [at for at, asked in self.asked if asked == device]


class Line:
    """A lane over a field, running in a task, with the clock in hand."""

    def __init__(self, *groups: PollGroup, backoff: Backoff | None = None) -> None:
        self.clock = SteppedClock(0)
        self.field = FieldOfDevices(self.clock)
        self.lane = Lane(self.field, self.clock, self._take, backoff)
        self.results: list[tuple[PollGroup, PollResult]] = []
        self.lane.assign(groups)
        self.task = asyncio.create_task(self.lane.run())

    async def _take(self, group: PollGroup, result: PollResult) -> None:
        self.results.append((group, result))

    async def let_pass(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            await self.clock.advance(0.05)
            for _ in range(6):
                await asyncio.sleep(0)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_group_is_polled_once_a_period_at_its_own_phase() -> None:
    line = Line(group("meter"))
    await line.let_pass(10)
    await line.end()
    times = line.field.times("meter")
    assert len(times) == 10
    assert np.allclose(np.diff(times), 1.0, atol=0.06)
    assert times[0] == pytest.approx(phase(group("meter")), abs=0.06)


async def test_devices_of_one_line_are_spread_over_the_period() -> None:
    groups = [group(f"meter-{number}") for number in range(50)]
    phases = sorted(phase(one) for one in groups)
    assert phases[0] < 0.2
    assert phases[-1] > 0.8
    assert max(np.diff(phases)) < 0.2


async def test_a_slow_line_skips_what_it_missed_instead_of_bursting() -> None:
    line = Line(group("meter"))
    line.field.slow_s = 3.5
    await line.let_pass(20)
    line.field.slow_s = 0.0
    await line.let_pass(5)
    await line.end()
    assert line.lane.counts.skipped >= 10
    assert min(np.diff(line.field.times("meter"))) >= 0.3


async def test_one_dead_unit_of_ten_leaves_the_others_95_percent_of_their_cadence() -> None:
    units = [group(f"unit-{number}") for number in range(10)]
    line = Line(*units)
    line.field.dead.add("unit-3")
    await line.let_pass(120)
    await line.end()
    for unit in units:
        if unit.device != "unit-3":
            assert len(line.field.times(unit.device)) >= 0.95 * 120


async def test_a_dead_device_is_asked_at_the_configured_distances() -> None:
    backoff = Backoff(first_s=1, longest_s=16, growth=2, jitter=0.05)
    line = Line(group("meter"), group("other"), backoff=backoff)
    line.field.dead.add("meter")
    await line.let_pass(120)
    await line.end()
    waits = np.diff(line.field.times("meter")) - line.field.timeout_s
    assert waits[:6] == pytest.approx([1, 2, 4, 8, 16, 16], rel=0.1)


async def test_a_dead_device_with_the_line_to_itself_is_asked_within_two_periods() -> None:
    line = Line(group("meter", 2.0))
    line.field.dead.add("meter")
    await line.let_pass(60)
    gaps = np.diff(line.field.times("meter"))
    assert gaps.max() - line.field.timeout_s < 2 * 2.0
    await line.end()


async def test_a_dead_device_that_costs_nothing_is_asked_within_two_periods_on_a_shared_line() -> None:
    line = Line(group("meter", 2.0), group("other", 2.0))
    line.field.dead.add("meter")
    line.field.timeout_s = 0.0
    await line.let_pass(60)
    assert np.diff(line.field.times("meter")).max() < 2 * 2.0
    await line.end()


async def test_a_device_that_returns_is_polled_at_its_cadence_again_with_all_of_its_groups() -> None:
    line = Line(group("meter", 1.0), group("meter", 5.0), backoff=Backoff(longest_s=2))
    await line.let_pass(6)
    line.field.dead.add("meter")
    await line.let_pass(20)
    line.field.dead.clear()
    await line.let_pass(3)
    line.results.clear()
    await line.let_pass(10)
    await line.end()
    fast = [one for one, _ in line.results if one.every_s == 1.0]
    slow = [one for one, _ in line.results if one.every_s == 5.0]
    assert len(fast) in (9, 10, 11)
    assert len(slow) in (1, 2, 3)


async def test_while_a_device_is_lost_only_one_of_its_groups_asks() -> None:
    line = Line(group("meter", 1.0), group("meter", 5.0), backoff=Backoff(longest_s=2))
    line.field.dead.add("meter")
    await line.let_pass(30)
    await line.end()
    assert len({one.every_s for one, _ in line.results[2:]}) == 1


async def test_reassigning_the_same_groups_does_not_move_their_polls() -> None:
    line = Line(group("a"), group("b"))
    await line.let_pass(5)
    line.lane.assign([group("a"), group("c")])
    await line.let_pass(5)
    await line.end()
    assert np.allclose(np.diff(line.field.times("a")), 1.0, atol=0.06)
    assert max(line.field.times("b")) < 5.1
    assert min(line.field.times("c")) >= 5.0


async def test_a_utc_step_moves_no_poll() -> None:
    line = Line(group("meter"))
    await line.let_pass(5)
    line.clock.step_utc(3600)
    await line.let_pass(5)
    line.clock.step_utc(-7200)
    await line.let_pass(5)
    await line.end()
    assert np.allclose(np.diff(line.field.times("meter")), 1.0, atol=0.06)


@given(failures=st.integers(1, 500), every_s=st.floats(0.1, 3600), draw=st.floats(0, 1))
def test_backoff_stays_between_the_period_and_the_longest_wait(
    failures: int, every_s: float, draw: float
) -> None:
    backoff = Backoff()
    wait = backoff.wait_s(failures, every_s, draw)
    assert 0.95 * every_s <= wait <= 1.05 * max(every_s, backoff.longest_s)


async def test_groups_that_are_equal_after_a_reload_go_on_being_polled() -> None:
    line = Line(group("meter"))
    await line.let_pass(5)
    line.lane.assign([group("meter")])
    before = len(line.field.asked)
    await line.let_pass(10)
    assert 9 <= len(line.field.asked) - before <= 11
    await line.end()


async def test_a_reload_while_a_device_is_asked_does_not_double_its_polls() -> None:
    line = Line(group("meter"))
    line.field.slow_s = 0.5
    await line.let_pass(5)
    for _ in range(20):
        line.lane.assign([group("meter")])
        await line.let_pass(0.05)
    before = len(line.field.asked)
    await line.let_pass(10)
    assert 9 <= len(line.field.asked) - before <= 11
    await line.end()


async def test_a_dead_device_that_returns_after_a_reload_in_mid_question_is_polled_again() -> None:
    line = Line(group("meter"), group("meter", 2.0), backoff=Backoff(jitter=0.0))
    line.field.dead.add("meter")
    await line.let_pass(5)
    while line.lane._asking is None:
        await line.let_pass(0.05)
    line.lane.assign([group("meter"), group("meter", 2.0)])
    line.field.dead.clear()
    await line.let_pass(70)
    before = len(line.field.asked)
    await line.let_pass(10)
    assert 14 <= len(line.field.asked) - before <= 16
    await line.end()


async def test_a_dead_device_whose_asking_group_is_removed_is_asked_by_another() -> None:
    line = Line(group("meter"), group("meter", 2.0))
    line.field.dead.add("meter")
    await line.let_pass(5)
    line.lane.assign([group("meter", 2.0)])
    line.field.dead.clear()
    before = len(line.field.asked)
    await line.let_pass(10)
    assert 4 <= len(line.field.asked) - before <= 7
    await line.end()


async def test_a_device_removed_while_its_question_breaks_the_driver_is_not_asked_again() -> None:
    line = Line(group("meter"))
    line.field.slow_s = 0.5

    async def break_down(asked: PollGroup, *, trace: bool = False) -> PollResult:
        await FieldOfDevices.poll(line.field, asked)
        line.lane.assign([])
        raise RuntimeError("a driver's bug")

    line.field.poll = break_down  # type: ignore[method-assign, assignment]
    await line.let_pass(3)
    with pytest.raises(RuntimeError):
        await line.task
    assert line.lane._turns == []
