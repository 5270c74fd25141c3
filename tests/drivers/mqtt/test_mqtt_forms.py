"""Text lines and binary records: the payloads of loggers and radio sensors."""

from __future__ import annotations

import struct
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.base import Device, Point, PollGroup, Quality
from drivers.mqtt.codec import Rows, decode, to_time
from drivers.mqtt.plan import Plan
from drivers.mqtt.settings import DeviceSettings, PointSettings

NOW = 1_790_000_000 * 10**9


def decoded(payload: bytes, *points: dict[str, Any], **device: Any) -> Rows:
    made = tuple(
        Point(n, "d", f"p{n}", PointSettings.model_validate(keys), "temperature", "degC", "degC")
        for n, keys in enumerate(points)
    )
    settings = DeviceSettings.model_validate({"topic": "t", **device})
    plan = Plan([Device("d", settings, (PollGroup("d", 10.0, made),))])
    rows = Rows()
    for route in plan.routes("t"):
        decode(route.program, payload, NOW, False, rows)
    return rows


def test_columns_of_a_line_are_counted_from_one() -> None:
    rows = decoded(b"room, 21.5 ,ON\n", {"csv": 2}, {"csv": 3})
    assert rows.value == [21.5, 1.0]
    assert rows.quality == [Quality.GOOD, Quality.GOOD]


def test_decimal_comma_is_read_where_the_comma_does_not_separate() -> None:
    assert decoded(b"21,5;-3,25", {"csv": 1}, {"csv": 2}, separator=";").value == [21.5, -3.25]


def test_quoted_separator_is_text() -> None:
    assert decoded(b'"Room 1, north",21.5', {"csv": 2}).value == [21.5]


def test_each_line_is_a_reading_at_its_own_time() -> None:
    payload = b"1789999000,20\r\n2026-09-21T13:40:00Z,21\n1789999800000,22\n"
    rows = decoded(payload, {"csv": 2}, timestamp=1)
    assert rows.value == [20.0, 21.0, 22.0]
    assert rows.time == [1_789_999_000 * 10**9, 1_789_998_000 * 10**9, 1_789_999_800 * 10**9]


def test_empty_column_is_not_available() -> None:
    rows = decoded(b"1,,3", {"csv": 2}, {"csv": 3})
    assert rows.quality == [Quality.NOT_AVAILABLE, Quality.GOOD]


def test_line_that_is_too_short_is_told_with_what_came() -> None:
    rows = decoded(b"21.5,3", {"csv": 1}, {"csv": 4})
    assert rows.quality == [Quality.BAD_VALUE, Quality.BAD_VALUE]
    assert rows.reasons[1] == "payload has 2 columns, column 4 is asked for: 21.5,3"


def test_line_from_the_future_is_kept_at_arrival_and_flagged() -> None:
    rows = decoded(b"1990000000,20", {"csv": 2}, timestamp=1)
    assert (rows.time, rows.quality) == ([NOW], [Quality.CLOCK_SUSPECT])


def test_record_gives_its_values_by_index() -> None:
    points = [{"struct": ">hHf", "index": n} for n in range(3)]
    assert decoded(struct.pack(">hHf", -215, 40_000, 0.5), *points).value == [-215.0, 40_000.0, 0.5]


def test_record_carries_its_time() -> None:
    rows = decoded(struct.pack("<IxxH", 1_789_999_000, 7), {"struct": "<IxxH", "index": 1, "timestamp": 0})
    assert (rows.time, rows.value) == ([1_789_999_000 * 10**9], [7.0])


def test_record_of_another_size_is_told() -> None:
    rows = decoded(b"\x01\x02\x03", {"struct": ">hHf", "index": 0})
    assert rows.quality == [Quality.BAD_VALUE]
    assert rows.reasons[0].startswith("payload has 3 bytes, struct >hHf needs 8")


def test_nan_in_a_record_is_a_bad_value() -> None:
    assert decoded(struct.pack("<f", float("nan")), {"struct": "<f", "index": 0}).quality == [36]


@pytest.mark.parametrize(
    "text", ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000", "1700000000.0",
             "2023-11-14T22:13:20.000000000Z", "20231114T221320Z"],
)  # fmt: skip
def test_time_in_text_is_read_in_every_usual_form(text: str) -> None:
    assert to_time(text) == 1_700_000_000 * 10**9


@given(st.binary(max_size=80))
def test_any_payload_gives_numbers_or_reasons(payload: bytes) -> None:
    rows = decoded(payload, {"csv": 1}, {"csv": 2, "separator": ";"}, {"struct": ">d", "index": 0})
    assert all(isnan(v) == (q >= 32) for v, q in zip(rows.value, rows.quality, strict=True))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"csv": 0}, "counted from 1"),
        ({"csv": 1, "json": "a"}, "json and csv: a payload has one form"),
        ({"csv": 1, "payload": "raw"}, "leave out either"),
        ({"csv": 1, "separator": ";;"}, "separator"),
        ({"separator": ";"}, "add the column"),
        ({"struct": "hHf", "index": 0}, "begin with >"),
        ({"struct": ">zz", "index": 0}, "write for example"),
        ({"struct": ">h4s", "index": 0}, "4x for four"),
        ({"struct": ">4x", "index": 0}, "has no value"),
        ({"struct": ">hHf"}, "needs index: 0 to 2"),
        ({"struct": ">hHf", "index": 3}, "has 3 values, 0 to 2"),
        ({"struct": ">hHf", "index": 0, "timestamp": 3}, "timestamp 3"),
        ({"index": 0}, "index without struct"),
        ({"csv": 1, "timestamp": "sent"}, "number of the column"),
        ({"json": "a", "timestamp": 2}, "write the path"),
    ],
)
def test_wrong_form_is_told_with_a_remedy(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PointSettings.model_validate(settings)
