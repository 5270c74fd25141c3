"""The encoder against a parser written apart from it: what went in comes out, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulators.line_protocol import Field, parse_fields, parse_key, split
from sync.line_protocol import Encoder, encode_facts
from sync.outbox import Fact, IntervalRows, Parcel, SampleColumns, SeriesTags

NAMES = st.text(
    st.characters(exclude_characters="\\", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12
)
MEASUREMENTS = NAMES.filter(lambda name: not name.startswith("#"))
FIELD_NAMES = NAMES.filter(lambda name: '"' not in name)
TIMES = st.integers(-(2**62), 2**62)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ANY_FLOATS = st.floats()
QUALITIES = st.sampled_from([0, 16, 17, 20, 32, 33, 36, 48])

Read = tuple[str, dict[str, str], dict[str, Field], int]


def read(data: bytes) -> list[Read]:
    lines, complaints = split(data, 1, 0)
    assert complaints == []
    out: list[Read] = []
    for line in lines:
        series = parse_key(line.key)
        out.append((series.measurement, dict(series.tags), parse_fields(line.fields), line.time))
    return out


def encoder(names: Sequence[SeriesTags]) -> Encoder:
    def tags(series: NDArray[np.int32]) -> list[SeriesTags]:
        return [names[i] for i in series.tolist()]

    return Encoder(tags)


POWER = SeriesTags("electric_power", "hq", "main-meter", "power", "kW")


def samples(rows: Sequence[tuple[int, int, float, int]]) -> SampleColumns:
    series, times, values, qualities = zip(*rows, strict=True) if rows else ((), (), (), ())
    return SampleColumns(
        np.array(series, np.int32),
        np.array(times, np.int64),
        np.array(values, np.float64),
        np.array(qualities, np.uint8),
    )


def test_a_good_sample_is_one_line_with_sorted_tags() -> None:
    body = encoder([POWER]).samples(samples([(0, 1_700_000_000_000_000_000, 21.5, 0)]))
    assert body.data == (
        b"electric_power,device=main-meter,point=power,site=hq,unit=kW "
        b"quality=0,value=21.5 1700000000000000000\n"
    )
    assert body.lines == 1


def test_a_bad_sample_sends_its_quality_only() -> None:
    body = encoder([POWER]).samples(samples([(0, 5, 21.5, 32)]))
    assert body.data.endswith(b" quality=32 5\n")


def test_a_value_that_is_no_number_never_leaves() -> None:
    rows = [(0, 1, float("nan"), 0), (0, 2, float("inf"), 16), (0, 3, 4.0, 0)]
    lines = encoder([POWER]).samples(samples(rows)).data.splitlines()
    assert [line.split(b" ", 1)[1] for line in lines] == [
        b"quality=0 1",
        b"quality=16 2",
        b"quality=0,value=4.0 3",
    ]


def test_a_tag_without_a_value_is_left_out() -> None:
    body = encoder([SeriesTags("count", "hq", "gate", "people", "")]).samples(samples([(0, 1, 3.0, 0)]))
    assert body.data.startswith(b"count,device=gate,point=people,site=hq ")


def test_what_has_no_unambiguous_escape_becomes_an_underscore() -> None:
    odd = SeriesTags("a\\b", "hq\n", "dev\\", "p\t1", "kW")
    ((measurement, tags, _, _),) = read(encoder([odd]).samples(samples([(0, 1, 3.0, 0)])).data)
    assert measurement == "a_b"
    assert tags == {"device": "dev_", "point": "p_1", "site": "hq_", "unit": "kW"}


def test_renamed_points_get_their_new_tags_after_forget() -> None:
    names = [POWER]
    encode = encoder(names)
    encode.samples(samples([(0, 1, 1.0, 0)]))
    names[0] = SeriesTags("electric_power", "hq", "main", "power", "kW")
    encode.forget()
    assert b"device=main," in encode.samples(samples([(0, 2, 1.0, 0)])).data


@given(
    st.lists(st.tuples(MEASUREMENTS, NAMES, NAMES, NAMES, NAMES), min_size=1, max_size=4, unique=True),
    st.lists(st.tuples(st.integers(0, 3), TIMES, ANY_FLOATS, QUALITIES), max_size=30),
)
def test_samples_read_back_as_they_went_in(
    names: list[tuple[str, str, str, str, str]], rows: list[tuple[int, int, float, int]]
) -> None:
    series = [SeriesTags(*name) for name in names]
    rows = [(i % len(series), time, value, quality) for i, time, value, quality in rows]
    body = encoder(series).samples(samples(rows))
    expected: list[Read] = []
    for i, time, value, quality in rows:
        tag = series[i]
        fields: dict[str, Field] = {"quality": float(quality)}
        if quality < 32 and np.isfinite(value):
            fields["value"] = value
        tags = {"site": tag.site, "device": tag.device, "point": tag.point, "unit": tag.unit}
        expected.append((tag.quantity, tags, fields, time))
    assert read(body.data) == expected
    assert body.lines == len(rows)


@given(st.lists(st.tuples(st.integers(0, 1), TIMES, ANY_FLOATS, ANY_FLOATS, ANY_FLOATS), max_size=30))
def test_intervals_read_back_with_exactly_the_figures_they_have(
    rows: list[tuple[int, int, float, float, float]],
) -> None:
    series = [POWER, SeriesTags("temperature", "hq", "ahu 1", "supply,temp", "degC")]
    ids, starts, *figures = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    columns = {
        name: np.array(column, np.float64)
        for name, column in zip(("mean", "min", "delta"), figures, strict=True)
    }
    body = encoder(series).intervals(
        IntervalRows("15m", np.array(ids, np.int32), np.array(starts, np.int64), columns)
    )
    expected = []
    for i, start, *values in rows:
        fields = {k: v for k, v in zip(("mean", "min", "delta"), values, strict=True) if np.isfinite(v)}
        if fields:
            expected.append((f"{series[i].quantity}_15m", series[i].device, sorted(fields.items()), start))
    found = [(m, tags["device"], sorted(fields.items()), time) for m, tags, fields, time in read(body.data)]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert body.lines == len(expected)


@given(
    MEASUREMENTS,
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.dictionaries(
        FIELD_NAMES,
        st.one_of(FLOATS, st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))), st.none()),
        max_size=4,
    ),
    TIMES,
)
def test_facts_read_back_as_they_went_in(
    measurement: str, tags: dict[str, str], fields: dict[str, float | str | None], time: int
) -> None:
    body = encode_facts([Fact(measurement, tuple(tags.items()), fields, time)])
    given_fields = {name: value for name, value in fields.items() if value is not None}
    assert read(body.data) == ([(measurement, tags, given_fields, time)] if given_fields else [])


def test_a_message_of_several_lines_stays_one_line() -> None:
    body = encode_facts([Fact("event", (), {"message": 'a "quoted"\nsecond\r\nthird \\'}, 1)])
    assert body.data == b'event message="a \\"quoted\\" second third \\\\" 1\n'


def test_facts_send_floats_and_leave_out_what_is_missing() -> None:
    fact = Fact("kpi", (("kpi", "x"),), {"value": 3, "lower": float("nan"), "upper": None}, 7)
    assert encode_facts([fact]).data == b"kpi,kpi=x value=3.0 7\n"


@given(st.integers(0, 25), st.integers(0, 12), st.integers(0, 12), st.integers(1, 9))
def test_a_parcel_is_cut_into_bodies_of_the_wanted_size(n: int, m: int, facts: int, limit: int) -> None:
    rows = IntervalRows("1h", np.zeros(m, np.int32), np.arange(m), {"mean": np.arange(m, dtype=np.float64)})
    parcel = Parcel(
        1,
        9,
        samples=samples([(0, i, float(i), 0) for i in range(n)]),
        intervals=[rows],
        facts=[Fact("event", (), {"value": 1.0}, i) for i in range(facts)],
    )
    bodies = encoder([POWER]).bodies(parcel, limit)
    assert sum(body.lines for body in bodies) == n + m + facts
    assert all(0 < body.lines <= limit for body in bodies)
    assert all(body.data.count(b"\n") == body.lines for body in bodies)
