"""Learning from refusals: whatever registers a device has, its points are found and nothing else is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import Point
from drivers.modbus.errors import ExceptionAnswer
from drivers.modbus.learning import Answer, conclude, settle
from drivers.modbus.plan import Learned, Plan, ReadBlock, Span, compile_plan
from drivers.modbus.settings import PointSettings, Table

ROUNDS = 40


@dataclass
class Device:
    """It has these registers and accepts reads up to `limit`."""

    registers: frozenset[int]
    limit: int = 125
    asked: list[Span] = field(default_factory=list)

    def answer(self, block: ReadBlock) -> Answer:
        self.asked.append(block.key)
        if block.count > self.limit:
            return ExceptionAnswer(3)
        if not self.registers.issuperset(range(block.address, block.address + block.count)):
            return ExceptionAnswer(2)
        return bytes(block.size)

    def poll(self, points: list[Point], before: Learned) -> tuple[Plan, Learned]:
        """One poll, as the driver runs it; returns the plan it ended with and what is remembered."""
        learned, answers = before, dict[Span, Answer]()
        for _ in range(ROUNDS):
            plan = compile_plan(points, learned)
            answers |= {block.key: self.answer(block) for block in plan.blocks if block.key not in answers}
            concluded = conclude(plan, answers, learned)
            if concluded is learned:
                assert all(isinstance(answers[block.key], bytes) for block in plan.blocks)
                return plan, settle(before, learned, answers)
            learned = concluded
        raise AssertionError("it went on asking")


def points_at(registers: set[int]) -> list[Point]:
    return [
        Point(n, "meter", f"r{n}", PointSettings.model_validate({"register": n}), "voltage", "V", "V")
        for n in sorted(registers)
    ]


@settings(max_examples=50)
@given(
    st.sets(st.integers(0, 300), min_size=1, max_size=80),
    st.sets(st.integers(0, 300), max_size=80),
    st.sets(st.integers(0, 300), max_size=20),
    st.integers(1, 125),
)
def test_the_points_that_exist_are_read_within_one_poll(
    has: set[int], surplus: set[int], missing: set[int], limit: int
) -> None:
    """has: registers the device has and we ask for. surplus: has, not asked. missing: asked, has not."""
    missing -= has | surplus
    device = Device(frozenset(has | surplus), limit)
    asked = points_at(has | missing)
    plan, _ = device.poll(asked, Learned())
    read = {asked[row].series for block in plan.blocks for row in block.rows}
    assert read == has
    assert {asked[row].series for row in plan.holes} == missing


@settings(max_examples=30)
@given(st.sets(st.integers(0, 200), min_size=1, max_size=60), st.sets(st.integers(0, 200), max_size=60))
def test_what_was_learned_makes_later_polls_quiet(has: set[int], surplus: set[int]) -> None:
    """A poll proves at least one of the illegal gaps in each block, and most often half of them."""
    device = Device(frozenset(has | surplus))
    asked, learned = points_at(has), Learned()
    for _ in range(10):
        plan, learned = device.poll(asked, learned)
    device.asked.clear()
    device.poll(asked, learned)
    assert device.asked == [block.key for block in plan.blocks], "no refusal any more"


def test_a_hole_leaves_no_other_fence_behind() -> None:
    device = Device(frozenset(range(100)) - {37})
    plan, learned = device.poll(points_at(set(range(100))), Learned())
    assert learned == Learned(holes=frozenset({(Table.HOLDING, 37, 1)}))
    assert [block.count for block in compile_plan(points_at(set(range(100))), learned).blocks] == [37, 62]
    assert len(plan.blocks) > 2, "the splits that found it"


def test_finding_one_hole_in_a_block_takes_few_requests() -> None:
    device = Device(frozenset(range(125)) - {90})
    device.poll(points_at(set(range(125))), Learned())
    assert len(device.asked) <= 2 * 7 + 1, "a bisection of 125 registers"


def test_an_illegal_gap_keeps_its_fence() -> None:
    device = Device(frozenset({0, 1, 20, 21}))
    _, learned = device.poll(points_at({0, 1, 20, 21}), Learned())
    assert learned == Learned(fences=frozenset({(Table.HOLDING, 20)}))
