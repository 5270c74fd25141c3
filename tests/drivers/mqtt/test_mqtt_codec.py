"""Payloads to numbers: what a message means, and that rubbish is a quality with a reason."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Quality
from drivers.mqtt.codec import Field, Program, Rows, decode, to_time
from drivers.mqtt.topics import parse_path

NOW = 1_790_000_000 * 10**9


def program(*paths: str | None, timestamp: str | None = None, **words: float) -> Program:
    stamp = None if timestamp is None else parse_path(timestamp)
    fields = tuple(
        Field(row, None if path is None else parse_path(path), words, stamp) for row, path in enumerate(paths)
    )
    return Program(fields, needs_json=any(path is not None for path in paths))


def run(made: Program, payload: bytes, *, retained: bool = False) -> Rows:
    rows = Rows()
    decode(made, payload, NOW, retained, rows)
    return rows


def test_one_json_message_feeds_many_points() -> None:
    rows = run(program("temperature", "co2"), b'{"temperature": 21.3, "co2": 640}')
    assert (rows.row, rows.value, rows.quality) == ([0, 1], [21.3, 640.0], [0, 0])
    assert rows.time == [NOW, NOW]


def test_path_reaches_into_objects_and_lists() -> None:
    assert run(program("probes[1].t"), b'{"probes": [{"t": 1}, {"t": 2.5}]}').value == [2.5]


def test_whole_payload_is_a_number() -> None:
    assert run(program(None), b" -3.25\n").value == [-3.25]


@pytest.mark.parametrize(("payload", "value"), [(b"ON", 1.0), (b"off", 0.0), (b"true", 1.0), (b"Open", 7.0)])
def test_words_stand_for_numbers(payload: bytes, value: float) -> None:
    assert run(program(None, open=7.0), payload).value == [value]


def test_json_booleans_are_states() -> None:
    assert run(program("a", "b"), b'{"a": true, "b": false}').value == [1.0, 0.0]


def test_absent_key_adds_nothing() -> None:
    assert run(program("temperature", "co2"), b'{"co2": 640}').row == [1]


def test_null_is_not_available() -> None:
    rows = run(program("temperature"), b'{"temperature": null}')
    assert rows.quality == [Quality.NOT_AVAILABLE]
    assert isnan(rows.value[0])


@pytest.mark.parametrize("payload", [b"{", b"\xff\xfe", b"", b"nonsense", b'{"t": NaN}'])
def test_unreadable_payload_makes_its_points_bad_and_is_shown(payload: bytes) -> None:
    rows = run(program("t", "u"), payload)
    assert rows.quality == [Quality.BAD_VALUE, Quality.BAD_VALUE]
    assert "no JSON" in rows.reasons[0]


@pytest.mark.parametrize(
    "found", [b'{"t": {}}', b'{"t": "warm"}', b'{"t": [1]}', b'{"t": "inf"}', b'{"t": 1e400}']
)
def test_what_is_no_number_is_a_bad_value(found: bytes) -> None:
    assert run(program("t"), found).quality == [Quality.BAD_VALUE]


def test_run_of_bad_values_is_told_once_and_a_good_one_ends_it() -> None:
    rows = Rows()
    for payload in (b"x", b"y", b"1", b"z"):
        decode(program(None), payload, NOW, False, rows)
    assert rows.quality == [Quality.BAD_VALUE, 0, Quality.BAD_VALUE]


def test_retained_message_without_its_own_time_is_held() -> None:
    assert run(program("t"), b'{"t": 1}', retained=True).quality == [Quality.HELD]


def test_retained_message_with_its_own_time_is_good_at_that_time() -> None:
    rows = run(program("t", timestamp="at"), b'{"t": 1, "at": 1789999000}', retained=True)
    assert (rows.time, rows.quality) == ([1_789_999_000 * 10**9], [Quality.GOOD])


@pytest.mark.parametrize("at", [b"12", b"1990000000", b'"yesterday"', b"null"])
def test_time_that_cannot_be_true_is_replaced_by_arrival_and_flagged(at: bytes) -> None:
    rows = run(program("t", timestamp="at"), b'{"t": 1, "at": ' + at + b"}")
    assert (rows.time, rows.quality) == ([NOW], [Quality.CLOCK_SUSPECT])


@pytest.mark.parametrize(
    "written",
    [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000, 1_700_000_000 * 10**9, 1_700_000_000.0,
     "2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14 22:13:20"],
)  # fmt: skip
def test_time_is_read_in_every_usual_form(written: object) -> None:
    assert to_time(written) == 1_700_000_000 * 10**9


@given(st.binary(max_size=200))
def test_no_payload_raises(payload: bytes) -> None:
    for made in (program(None), program("a.b", "c[0]", timestamp="t")):
        rows = run(made, payload)
        assert len(rows.row) == len(rows.value) == len(rows.time) == len(rows.quality)


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=8)
)
def test_any_document_is_a_number_or_a_reason(found: object) -> None:
    import orjson

    try:
        payload = orjson.dumps({"t": found})
    except TypeError:  # integers beyond 64 bits
        return
    rows = run(program("t"), payload)
    assert isnan(rows.value[0]) == (0 in rows.reasons)
