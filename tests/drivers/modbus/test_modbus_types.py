"""Number types beyond the plain ones: BCD, groups of bits, scale factors, and "no value" for every width."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import FaultCode, Point, Quality
from drivers.modbus.codec import EncodeError, decode, encode
from drivers.modbus.plan import Learned, compile_plan
from drivers.modbus.settings import PointSettings
from simulators.modbus import Request
from tests.drivers.modbus.simulated_meter import MakeMeter, settings

# --- binary-coded decimal


@pytest.mark.parametrize(
    ("keys", "raw", "value"),
    [
        ({"type": "bcd16"}, "1234", 1234),
        ({"type": "bcd32"}, "0012 3456", 123456),
        ({"type": "bcd32", "order": "CDAB"}, "3456 0012", 123456),
        ({"type": "bcd16", "scale": 0.1}, "0215", 21.5),
    ],
)
def test_decimal_digits_are_read_as_written(keys: dict[str, object], raw: str, value: float) -> None:
    place = settings(register=0, **keys)
    assert decode(place, bytes.fromhex(raw)) == (value, Quality.GOOD)
    assert encode(place, value) == bytes.fromhex(raw)


@pytest.mark.parametrize("raw", ["12A4", "F000", "000B"])
def test_a_digit_beyond_nine_is_a_bad_value(raw: str) -> None:
    value, quality = decode(settings(register=0, type="bcd16"), bytes.fromhex(raw))
    assert math.isnan(value)
    assert quality is Quality.BAD_VALUE


def test_bcd_knows_its_no_value() -> None:
    place = settings(register=0, type="bcd16", not_available="auto")
    assert decode(place, b"\xff\xff")[1] is Quality.NOT_AVAILABLE


@given(st.integers(0, 99_999_999))
def test_every_decimal_comes_back(number: int) -> None:
    place = settings(register=0, type="bcd32")
    assert decode(place, encode(place, number)) == (number, Quality.GOOD)


@pytest.mark.parametrize("value", [10_000, -1])
def test_a_number_beyond_its_digits_cannot_be_encoded(value: int) -> None:
    with pytest.raises(EncodeError):
        encode(settings(register=0, type="bcd16"), value)


# --- groups of bits


@pytest.mark.parametrize(
    ("bit", "bits", "value"),
    [
        (0, 4, 0xD),
        (4, 4, 0xC),
        (6, 4, 0xF),
        (8, 8, 0xAB),
        (0, 8, 0xCD),
        (0, 16, 0xABCD),
        (15, 1, 1),
        (9, 1, 1),
    ],
)
@pytest.mark.parametrize(("order", "raw"), [("ABCD", "abcd"), ("BADC", "cdab")])
def test_bits_of_one_register_make_a_number(bit: int, bits: int, value: int, order: str, raw: str) -> None:
    place = settings(register=0, type="bit", bit=bit, bits=bits, order=order)
    assert decode(place, bytes.fromhex(raw)) == (value, Quality.GOOD)


@given(st.integers(0, 15), st.data(), st.sampled_from(["ABCD", "BADC"]))
def test_every_group_of_bits_comes_back(bit: int, data: st.DataObject, order: str) -> None:
    bits = data.draw(st.integers(1, 16 - bit))
    place = settings(register=0, type="bit", bit=bit, bits=bits, order=order)
    number = data.draw(st.integers(0, 2**bits - 1))
    assert decode(place, encode(place, number)) == (number, Quality.GOOD)


@pytest.mark.parametrize(
    "keys", [{"bits": 2}, {"type": "bit", "bit": 15, "bits": 2}, {"type": "u32", "bits": 2}]
)
def test_bits_outside_the_register_are_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="bits"):
        settings(register=0, **keys)


async def test_several_states_of_one_register_cost_one_read(make_meter: MakeMeter) -> None:
    places = {
        "running": settings(register=3, bit=0),
        "mode": settings(register=3, bit=4, bits=3),
        "alarm": settings(register=3, bit=15),
    }
    meter = await make_meter(places, {"running": 1.0, "mode": 5.0, "alarm": 1.0})
    assert (await meter.poll()).batch.value.tolist() == [1.0, 5.0, 1.0]
    assert await meter.requests_of_a_poll() == 1


# --- scale factors that the device tells

SCALED = {
    "power": settings(register=10, type="i16", sf=12, not_available="sunspec"),
    "power_l1": settings(register=11, type="i16", sf=12),
    "energy": settings(register=20, type="u32", sf=22),
    "plain": settings(register=30),
}
SERVED = {
    "power": settings(register=10, type="i16"),
    "power_l1": settings(register=11, type="i16"),
    "sf_w": settings(register=12, type="i16"),
    "energy": settings(register=20, type="u32"),
    "sf_wh": settings(register=22, type="i16"),
    **{f"gap{n}": settings(register=n) for n in (*range(13, 20), *range(23, 30))},
    "plain": settings(register=30),
}
RAW = dict.fromkeys(SERVED, 0.0) | {
    "power": 2301.0, "power_l1": -7.0, "sf_w": -1.0, "energy": 123456.0, "sf_wh": 2.0, "plain": 3.0,
}  # fmt: skip


async def test_points_are_scaled_by_the_factor_beside_them(make_meter: MakeMeter) -> None:
    meter = await make_meter(SERVED, RAW, asked=SCALED)
    result = await meter.poll(trace=True)
    assert result.batch.value.tolist() == [230.1, -0.7, 12345600.0, 3.0]
    assert result.batch.series.tolist() == [0, 1, 2, 3]
    assert result.raw[0] == "08fd"
    assert await meter.requests_of_a_poll() == 1, "the factors come with the same read"


async def test_a_factor_that_changes_is_followed(make_meter: MakeMeter) -> None:
    """Inverters shift their factor as the power grows: a factor read once would be wrong by ten."""
    meter = await make_meter(SERVED, RAW, asked=SCALED)
    await meter.poll()
    meter.values.update(power=230.0, sf_w=0.0)
    assert (await meter.poll()).batch.value[0] == 230.0


@pytest.mark.parametrize(
    ("factor", "quality"),
    [(-32768.0, Quality.NOT_AVAILABLE), (11.0, Quality.BAD_VALUE), (10.0, Quality.GOOD)],
)
async def test_a_factor_that_is_none_makes_its_points_bad(
    make_meter: MakeMeter, factor: float, quality: Quality
) -> None:
    meter = await make_meter(SERVED, RAW | {"sf_w": factor}, asked=SCALED)
    result = await meter.poll()
    assert result.batch.quality.tolist() == [quality, quality, Quality.GOOD, Quality.GOOD]
    assert np.isnan(result.batch.value[:2]).all() == (quality is not Quality.GOOD)


async def test_a_device_without_the_factors_register_says_so_at_its_points(make_meter: MakeMeter) -> None:
    served = {name: place for name, place in SERVED.items() if name != "sf_w"}
    meter = await make_meter(served, RAW, asked=SCALED)
    result = await meter.poll()
    assert result.fault is None
    assert {series: fault.code for series, fault in result.point_faults.items()} == {
        0: FaultCode.NO_SUCH_ADDRESS, 1: FaultCode.NO_SUCH_ADDRESS,
    }  # fmt: skip
    assert result.batch.quality.tolist() == [Quality.FAULT, Quality.FAULT, Quality.GOOD, Quality.GOOD]


async def test_a_factor_that_was_not_answered_takes_its_points_with_it(make_meter: MakeMeter) -> None:
    far = {"power": settings(register=10, type="i16", sf=400)}
    served = {"power": settings(register=10, type="i16"), "sf": settings(register=400, type="i16")}
    meter = await make_meter(served, {"power": 5.0, "sf": 1.0}, asked=far)

    async def deaf_at_400(request: Request, frame: bytes | None) -> bytes | None:
        return None if request.address == 400 else frame

    meter.server.tamper = deaf_at_400
    assert (await meter.poll()).batch.quality.tolist() == [Quality.COMM_LOST]
    meter.server.tamper = None
    assert (await meter.poll()).batch.value.tolist() == [50.0]


def test_a_shared_factor_is_read_and_decoded_once() -> None:
    points = [
        Point(n, "m", f"p{n}", settings(register=n, type="i16", sf=50), "voltage", "V", "V")
        for n in range(40)
    ]
    plan = compile_plan(points, Learned())
    assert len(plan.settings) == 41
    assert [block.count for block in plan.blocks] == [51]


# --- "no value", by type and width

ABSENT = {
    "u16": ("ffff", "ffff"), "i16": ("7fff", "8000"), "bcd16": ("ffff", "ffff"),
    "u32": ("ffffffff", "ffffffff"), "i32": ("7fffffff", "80000000"), "bcd32": ("ffffffff", "ffffffff"),
    "u64": ("ffffffffffffffff", "ffffffffffffffff"), "i64": ("7fffffffffffffff", "8000000000000000"),
    "f32": ("7fc00000", "7fc00000"), "f64": ("7ff8000000000000", "7ff8000000000000"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "patterns"), ABSENT.items())
@pytest.mark.parametrize(("convention", "which"), [("auto", 0), ("sunspec", 1)])
def test_each_width_has_its_own_no_value(
    kind: str, patterns: tuple[str, str], convention: str, which: int
) -> None:
    place = settings(register=0, type=kind, not_available=convention)
    raw = bytes.fromhex(patterns[which])
    assert decode(place, raw)[1] is Quality.NOT_AVAILABLE
    beside = bytes([*raw[:-1], raw[-1] ^ 1])
    if kind[0] in "ui":
        assert decode(place, beside)[1] is Quality.GOOD, "its neighbour is a number"


@pytest.mark.parametrize("kind", ["i16", "i32", "i64"])
def test_the_two_conventions_for_signed_numbers_are_not_mixed_up(kind: str) -> None:
    """ABB says 0x7FFF, SunSpec 0x8000: each is a number to the other."""
    for convention, which in (("auto", 1), ("sunspec", 0)):
        place = settings(register=0, type=kind, not_available=convention)
        assert decode(place, bytes.fromhex(ABSENT[kind][which]))[1] is Quality.GOOD


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_a_no_value_is_known_in_every_word_order(order: str) -> None:
    place = settings(register=0, type="i32", order=order, not_available="auto")
    assert decode(place, encode(place, math.nan))[1] is Quality.NOT_AVAILABLE


def test_a_written_no_value_holds_for_floats_too() -> None:
    place = PointSettings.model_validate({"register": 0, "type": "f32", "not_available": -9999.0})
    assert decode(place, struct.pack(">f", -9999.0))[1] is Quality.NOT_AVAILABLE
