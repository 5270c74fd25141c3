"""The true decode of a register is ranked first with a quantity hint, and within three without."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.settings import PointSettings
from drivers.modbus.types import REGISTER_TYPES
from drivers.templates import find_templates, load_template
from gateway.installer.decodes import Decode, meaning_nothing, rank

TEMPLATES = Path(__file__).parents[3] / "configs" / "templates"


def words_of(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def golden_numbers() -> Iterator[tuple[str, list[int | None], int, float, str]]:
    """Every golden frame that is a number in registers: alone, and among its template's other registers."""
    for name, path in find_templates(TEMPLATES).items():
        template = load_template(path)
        if template.driver != "modbus":
            continue
        image: dict[tuple[object, int], int] = {}
        for point, frame in template.golden.items():
            place = template.settings[point]
            assert isinstance(place, PointSettings)
            if place.space.holds_bits:
                continue
            for offset, word in enumerate(words_of(frame.raw)):
                image[place.space, place.start + offset] = word
        for point, frame in template.golden.items():
            place = template.settings[point]
            assert isinstance(place, PointSettings)
            if place.decoded_type not in RANKED or frame.value != frame.value:
                continue
            number = (frame.value - place.offset) / place.scale
            quantity = str(template.points[point]["quantity"])
            around = [image.get((place.space, place.start + offset), 0) for offset in range(-1, 5)]
            at = 1 if place.start else 0
            yield f"{name}/{point} alone", list(words_of(frame.raw)), 0, number, quantity
            yield f"{name}/{point} among others", list(around[1 - at :]), at, number, quantity


RANKED = {kind for kind in REGISTER_TYPES if kind in ("u16", "i16", "u32", "i32", "f32", "u64", "i64", "f64")}
GOLDEN = list(golden_numbers())


def place_of(decodes: list[Decode], number: float) -> int:
    return next(
        (p for p, decode in enumerate(decodes, 1) if decode.number == pytest.approx(number, rel=1e-6)), 99
    )


@pytest.mark.parametrize(("words", "at", "number", "quantity"), [g[1:] for g in GOLDEN],
                         ids=[g[0] for g in GOLDEN])  # fmt: skip
def test_the_true_decode_of_every_golden_frame_is_first_with_a_hint_and_third_at_most_without(
    words: list[int | None], at: int, number: float, quantity: str
) -> None:
    assert place_of(rank(words, at, quantity), number) == 1
    assert place_of(rank(words, at), number) <= 3


def test_templates_of_every_number_type_and_order_were_tried() -> None:
    assert len(GOLDEN) > 100


def test_an_address_off_by_one_is_found() -> None:
    """The manual counts from 1, the wire from 0: the float begins one register before."""
    words = [*words_of(struct.pack(">f", 231.37)), 0x1234]
    best = rank(words, 1, "voltage")[0]
    assert (best.name, best.shift) == ("f32 ABCD at -1", -1)
    assert best.number == pytest.approx(231.37)


def test_swapped_words_are_found() -> None:
    low_first = words_of(struct.pack(">f", 49.983))[::-1]
    assert rank(low_first, 0, "frequency")[0].name == "f32 CDAB"


def test_a_second_look_tells_a_creeping_counter_from_one_that_jumps() -> None:
    """0x0001fffe -> 0x00020003: read low word first it would fall by billions."""
    before, after = [0x0001, 0xFFFE], [0x0002, 0x0003]
    best = rank(before, 0, "electric_energy", again=after)[0]
    assert (best.number, best.name) == (0x1FFFE, "u32 ABCD")
    swapped = rank(before[::-1], 0, "electric_energy", again=after[::-1])[0]
    assert (swapped.number, swapped.name) == (0x1FFFE, "u32 CDAB")


def test_a_register_that_is_not_there_is_no_part_of_any_decode() -> None:
    assert {decode.shift for decode in rank([None, 2301, None], 1, "voltage")} == {0}
    assert rank([None, None], 0) == []


def test_scalings_name_the_unit_that_makes_sense_of_the_count() -> None:
    best = rank([2305], 0, "voltage")[0]
    assert (best.scalings[0].value, best.scalings[0].unit, best.scalings[0].scale) == (230.5, "V", 0.1)


@pytest.mark.parametrize("words", [[0xFFFF, 0xFFFF], [0x7FFF, 0xFFFF], [0x8000, 0], [0x7FC0, 0]])
def test_a_sentinel_is_called_one(words: list[int]) -> None:
    assert meaning_nothing(words)


def test_a_measured_value_is_no_sentinel() -> None:
    assert meaning_nothing(words_of(struct.pack(">f", 230.5))) == ""


@given(st.lists(st.one_of(st.none(), st.integers(0, 65535)), max_size=8), st.integers(0, 7))
def test_any_registers_can_be_ranked(words: list[int | None], at: int) -> None:
    """Probabilities fall and add up to one, whatever the bytes."""
    decodes = rank(words, at)
    shares = [decode.probability for decode in decodes]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0) or not any(shares)
