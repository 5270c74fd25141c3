"""The plan: the cheapest reads that cover all points within a device's limits."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Point
from drivers.modbus.codec import encode
from drivers.modbus.plan import REQUEST_COST, Learned, Plan, compile_plan, fence_for
from drivers.modbus.settings import PointSettings, Table

TYPES = ["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"]


def points(*places: Mapping[str, object]) -> list[Point]:
    return [
        Point(series, "meter", f"p{series}", PointSettings.model_validate(place), "voltage", "V", "V")
        for series, place in enumerate(places)
    ]


def reads(plan: Plan) -> list[tuple[str, int, int]]:
    return [(block.table.value, block.address, block.count) for block in plan.blocks]


def test_neighbours_are_read_in_one_request() -> None:
    plan = compile_plan(points({"register": 2, "type": "f32"}, {"register": 0, "type": "f32"}), Learned())
    assert reads(plan) == [("holding", 0, 4)]


def test_a_gap_cheaper_than_a_round_trip_is_read_across() -> None:
    affordable = REQUEST_COST // 2
    assert len(compile_plan(points({"register": 0}, {"register": affordable}), Learned()).blocks) == 1
    assert len(compile_plan(points({"register": 0}, {"register": affordable + 2}), Learned()).blocks) == 2


def test_tables_are_never_mixed() -> None:
    plan = compile_plan(
        points({"register": 0}, {"register": 1, "table": "input"}, {"register": 1}), Learned()
    )
    assert reads(plan) == [("holding", 0, 2), ("input", 1, 1)]


def test_the_split_of_a_long_run_falls_into_its_widest_gap() -> None:
    """125 registers do not hold all; greedy filling would waste the gap, the cheapest cover does not."""
    places = [{"register": r} for r in (*range(60), *range(90, 150))]
    assert reads(compile_plan(points(*places), Learned())) == [("holding", 0, 60), ("holding", 90, 60)]


def test_no_point_is_cut_by_the_limit() -> None:
    places = [{"register": 4 * n, "type": "f64"} for n in range(40)]
    plan = compile_plan(points(*places), Learned(max_registers=30))
    assert all(block.count % 4 == 0 and block.count <= 30 for block in plan.blocks)


def test_a_point_longer_than_the_limit_is_still_asked_for() -> None:
    plan = compile_plan(points({"register": 0, "type": "f64"}), Learned(max_registers=2))
    assert reads(plan) == [("holding", 0, 4)]


def test_no_block_reaches_across_a_fence() -> None:
    fenced = Learned().fenced(Table.HOLDING, 10)
    plan = compile_plan(points({"register": 8}, {"register": 9}, {"register": 10}), fenced)
    assert reads(plan) == [("holding", 8, 2), ("holding", 10, 1)]


def test_a_hole_is_not_asked_for() -> None:
    plan = compile_plan(points({"register": 8}, {"register": 9}), Learned().missing([(Table.HOLDING, 9, 1)]))
    assert reads(plan) == [("holding", 8, 1)]
    assert plan.holes.tolist() == [1]


def test_a_refused_block_is_split_after_its_widest_gap() -> None:
    plan = compile_plan(
        points({"register": 0}, {"register": 1}, {"register": 9}, {"register": 12}), Learned()
    )
    assert fence_for(plan.blocks[0], plan) == 9


def test_a_refused_block_without_gaps_is_split_in_the_middle() -> None:
    plan = compile_plan(points(*({"register": r} for r in range(8))), Learned())
    assert fence_for(plan.blocks[0], plan) == 4


def test_points_of_the_same_register_cannot_be_split() -> None:
    bits = [{"register": 5, "type": "bit", "bit": bit} for bit in range(3)]
    plan = compile_plan(points(*bits), Learned())
    assert fence_for(plan.blocks[0], plan) is None


places = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(TYPES), st.sampled_from(["holding", "input"])),
    min_size=1,
    max_size=60,
)


@given(places, st.integers(4, 125), st.sets(st.integers(0, 400), max_size=5))
def test_every_point_lies_within_one_block_and_decodes_to_its_own_value(
    wanted: list[tuple[int, str, str]], limit: int, fences: set[int]
) -> None:
    """Each register of the imagined device holds its own address, whatever type reads it."""
    asked = points(*({"register": r, "type": "u16", "table": t} for r, _, t in wanted))
    learned = Learned(max_registers=limit, fences=frozenset((Table.HOLDING, at) for at in fences))
    plan = compile_plan(asked, learned)
    answers = [
        b"".join((block.address + n).to_bytes(2, "big") for n in range(block.count)) for block in plan.blocks
    ]
    values, _ = plan.decoder.decode(plan.buffer(answers))
    assert values.tolist() == [float(register) for register, _, _ in wanted]
    assert all(block.count <= limit for block in plan.blocks)
    for block in plan.blocks:
        crossed = (Table.HOLDING, block.address + 1) if block.table is Table.HOLDING else None
        assert crossed is None or not any(block.address < at < block.address + block.count for at in fences)


@given(places, st.integers(4, 125))
def test_points_of_all_types_decode_from_where_the_plan_puts_them(
    wanted: list[tuple[int, str, str]], limit: int
) -> None:
    """Points laid one behind the other, each with its row as value."""
    laid, register = [], 0
    for gap, kind, table in wanted:
        register += gap % 60
        laid.append({"register": register, "type": kind, "table": table})
        register += 4
    asked = points(*laid)
    plan = compile_plan(asked, Learned(max_registers=limit))
    answers = []
    for block in plan.blocks:
        image = bytearray(block.size)
        for row in block.rows.tolist():
            place = plan.settings[row]
            at = 2 * (place.start - block.address)
            image[at : at + 2 * place.words] = encode(place, float(row))
        answers.append(bytes(image))
    values, _ = plan.decoder.decode(plan.buffer(answers))
    assert values.tolist() == [float(row) for row in range(len(asked))]


@given(st.sets(st.integers(0, 3000), min_size=1, max_size=50))
def test_coils_lie_where_the_answer_packs_them(addresses: set[int]) -> None:
    asked = points(*({"register": a, "table": "coil"} for a in sorted(addresses)))
    plan = compile_plan(asked, Learned())
    odd = [
        sum(1 << n for n in range(b.count) if (b.address + n) % 2).to_bytes(b.size, "little")
        for b in plan.blocks
    ]
    values, _ = plan.decoder.decode(plan.buffer(odd))
    assert values.tolist() == [float(a % 2) for a in sorted(addresses)]
