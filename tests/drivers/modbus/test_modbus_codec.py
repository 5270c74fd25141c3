"""The codec: bytes on the wire to values and back, for every type, order and sentinel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Quality
from drivers.modbus.codec import Decoder, EncodeError, Placed, decode, encode
from drivers.modbus.settings import PointSettings
from drivers.modbus.types import WordOrder

INTEGERS = {
    "u16": (0, 2**16 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "u32": (0, 2**32 - 1),
    "i32": (-(2**31), 2**31 - 1),
}
EXACT = 2**53


def point(**keys: object) -> PointSettings:
    return PointSettings.model_validate({"register": 0} | keys)


@pytest.mark.parametrize(
    ("order", "wire"),
    [("ABCD", "0001 86a0"), ("CDAB", "86a0 0001"), ("BADC", "0100 a086"), ("DCBA", "a086 0100")],
)
def test_each_word_order_reads_one_hundred_thousand(order: str, wire: str) -> None:
    assert decode(point(type="u32", order=order), bytes.fromhex(wire)) == (100_000, Quality.GOOD)
    assert encode(point(type="u32", order=order), 100_000) == bytes.fromhex(wire)


@pytest.mark.parametrize(
    ("order", "wire"),
    [
        ("ABCD", "0102 0304 0506 0708"),
        ("CDAB", "0708 0506 0304 0102"),
        ("BADC", "0201 0403 0605 0807"),
        ("DCBA", "0807 0605 0403 0201"),
    ],
)
def test_the_same_rule_holds_over_four_words(order: str, wire: str) -> None:
    assert decode(point(type="u64", order=order), bytes.fromhex(wire))[0] == float(0x0102030405060708)


def test_a_scale_of_a_tenth_gives_the_decimal_that_the_display_shows() -> None:
    assert decode(point(scale=0.1), bytes.fromhex("08fd"))[0] == 230.1


def test_scale_and_offset_apply_to_the_raw_number() -> None:
    assert decode(point(type="i16", scale=0.5, offset=-40), bytes.fromhex("fff6"))[0] == -45.0


@pytest.mark.parametrize(
    ("keys", "wire"),
    [
        ({"type": "u16", "not_available": "auto"}, "ffff"),
        ({"type": "i16", "not_available": "auto"}, "7fff"),
        ({"type": "u32", "not_available": "auto", "order": "CDAB"}, "ffff ffff"),
        ({"type": "i64", "not_available": "auto"}, "7fff ffff ffff ffff"),
        ({"type": "i16", "not_available": 0x8000}, "8000"),
        ({"type": "i16", "not_available": -32768}, "8000"),
        ({"type": "u32", "not_available": 0xFFFFFFFE}, "ffff fffe"),
        ({"type": "f32", "not_available": "auto"}, "7fc0 0000"),
        ({"type": "f32", "not_available": -9999}, "c61c 3c00"),
    ],
)
def test_a_sentinel_is_no_number(keys: dict[str, object], wire: str) -> None:
    value, quality = decode(point(**keys), bytes.fromhex(wire))
    assert quality is Quality.NOT_AVAILABLE
    assert math.isnan(value)
    assert decode(point(**keys), encode(point(**keys), math.nan))[1] is Quality.NOT_AVAILABLE


@pytest.mark.parametrize("wire", ["7fc0 0000", "7f80 0000", "ff80 0000"])
def test_a_float_that_is_not_finite_is_a_bad_value(wire: str) -> None:
    value, quality = decode(point(type="f32"), bytes.fromhex(wire))
    assert quality is Quality.BAD_VALUE
    assert math.isnan(value)


@pytest.mark.parametrize("bit", range(16))
def test_a_bit_of_a_register_counts_from_the_least_significant(bit: int) -> None:
    only = point(type="bit", bit=bit)
    word = (1 << bit).to_bytes(2, "big")
    assert encode(only, 1.0) == word
    assert decode(only, word)[0] == 1.0
    assert decode(only, bytes(b ^ 0xFF for b in word))[0] == 0.0


@given(st.sampled_from(sorted(INTEGERS)), st.sampled_from(WordOrder), st.data())
def test_integers_survive_the_round_trip(kind: str, order: WordOrder, data: st.DataObject) -> None:
    value = data.draw(st.integers(*INTEGERS[kind]))
    assert decode(point(type=kind, order=order), encode(point(type=kind, order=order), value)) == (value, 0)


@given(st.sampled_from(["u64", "i64"]), st.sampled_from(WordOrder), st.integers(0, EXACT))
def test_wide_integers_survive_as_far_as_a_double_is_exact(kind: str, order: WordOrder, value: int) -> None:
    assert decode(point(type=kind, order=order), encode(point(type=kind, order=order), value))[0] == value


@given(st.sampled_from(WordOrder), st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_floats_survive_the_round_trip(order: WordOrder, value: float) -> None:
    for kind in ("f32", "f64"):
        assert decode(point(type=kind, order=order), encode(point(type=kind, order=order), value))[0] == value


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.01, 0.001, 10.0, 0.25, 3.0]))
def test_scaled_integers_come_back_to_within_half_a_count(raw: int, scale: float) -> None:
    scaled = point(type="u32", scale=scale)
    value = decode(scaled, raw.to_bytes(4, "big"))[0]
    assert encode(scaled, value) == raw.to_bytes(4, "big")


@pytest.mark.parametrize(("kind", "value"), [("u16", 65536), ("u16", -1), ("i16", 40000), ("f32", 1e300)])
def test_what_does_not_fit_is_not_wrapped(kind: str, value: float) -> None:
    with pytest.raises(EncodeError, match=f"does not fit {kind}"):
        encode(point(type=kind), value)


def test_an_integer_without_a_sentinel_cannot_say_nothing() -> None:
    with pytest.raises(EncodeError, match="not_available"):
        encode(point(type="u16"), math.nan)


@given(
    st.lists(
        st.tuples(st.sampled_from([*INTEGERS, "f32", "f64"]), st.sampled_from(WordOrder)),
        min_size=1,
        max_size=40,
    )
)
def test_a_decoder_reads_a_mixed_buffer_as_each_point_alone_would(kinds: list[tuple[str, WordOrder]]) -> None:
    points, payload = [], b""
    for value, (kind, order) in enumerate(kinds):
        settings = point(type=kind, order=order, scale=1.0 + value % 3)
        points.append(Placed(settings, len(payload), settings.bit or 0))
        payload += encode(settings, float(6 * value))
    values, quality = Decoder(points).decode(payload)
    assert values.tolist() == [6.0 * row for row in range(len(kinds))]
    assert not quality.any()
    assert values.dtype == np.float64
    assert quality.dtype == np.uint8
