"""Charts: gaps are gaps, extremes are kept, ticks are round, days of 23 and 25 hours are right."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.charts import line_path, nice_scale, sparkline
from gateway.web.data_views import day_edges
from gateway.web.languages import load_languages
from gateway.web.series_views import BUCKETS, thin, time_ticks
from gateway.web.words import Voice
from tests.gateway.web.fake_gateway import DAY, HOUR, NOW, S

ENGLISH = load_languages()["en"]
PARIS = ZoneInfo("Europe/Paris")
OCTOBER_25 = 1_792_879_200 * S
"""2026-10-25 00:00 in Paris: a day of 25 hours."""


def test_a_missing_value_lifts_the_pen() -> None:
    x, y = np.arange(4.0), np.array([1.0, 2.0, np.nan, 4.0])
    assert line_path(x, y) == "M0.0 1.0L1.0 2.0M3.0 4.0h0"


def test_a_sparkline_is_well_formed_and_draws_its_target() -> None:
    svg = sparkline([1.0, None, 3.0, 2.5], 2.0, 'a "label" & more')
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own output
    assert root.attrib["aria-label"] == 'a "label" & more'
    assert [one.attrib["class"] for one in root.iter("path")] == ["target", "line"]


def test_nothing_known_draws_nothing() -> None:
    assert sparkline([None, None], 20.0, "x") == ""


@given(
    st.floats(-1e9, 1e9, allow_nan=False),
    st.floats(0, 1e9, allow_nan=False),
)
def test_a_scale_holds_its_values_on_evenly_spaced_round_ticks(low: float, width: float) -> None:
    scale = nice_scale(low, low + width)
    tolerance = 1e-6 * max(1.0, abs(low), width)
    assert scale.low <= low + tolerance
    assert scale.high >= low + width - tolerance
    assert 2 <= len(scale.ticks) <= 8
    steps = np.diff(scale.ticks)
    assert np.allclose(steps, steps[0])


def test_thinning_keeps_the_highest_and_the_lowest() -> None:
    time = np.arange(0, DAY, 10 * S, dtype=np.int64)
    value = np.full(len(time), 20.0)
    value[1234], value[5678] = 95.0, -40.0
    trace = thin(time, value, 0, DAY, 10.0)
    assert len(trace) <= BUCKETS
    assert (np.nanmax(trace.upper), np.nanmin(trace.lower)) == (95.0, -40.0)
    assert np.all(trace.lower <= trace.value)
    assert np.all(trace.value <= trace.upper)


def test_a_pause_is_a_gap_and_a_slow_point_is_not() -> None:
    steady = np.arange(0, DAY, 900 * S, dtype=np.int64)
    assert np.isfinite(thin(steady, np.ones(len(steady)), 0, DAY, 900.0).value).all()
    paused = steady[(steady < 6 * HOUR) | (steady > 9 * HOUR)]
    assert np.isnan(thin(paused, np.ones(len(paused)), 0, DAY, 900.0).value).sum() == 1


def test_bad_samples_only_are_a_gap_and_not_a_zero() -> None:
    time = np.arange(0, DAY, 60 * S, dtype=np.int64)
    value = np.where((time >= 6 * HOUR) & (time < 7 * HOUR), np.nan, 5.0)
    trace = thin(time, value, 0, DAY, 60.0)
    assert np.isnan(trace.value).sum() >= 10
    assert set(trace.value[np.isfinite(trace.value)]) == {5.0}


def test_no_samples_are_an_empty_trace() -> None:
    assert len(thin(np.empty(0, np.int64), np.empty(0), 0, DAY, 10.0)) == 0


def test_the_day_the_clocks_go_back_keeps_its_wall_clock_ticks() -> None:
    voice = Voice(ENGLISH, PARIS, OCTOBER_25 + 25 * HOUR)
    ticks = time_ticks(OCTOBER_25, OCTOBER_25 + 25 * HOUR, voice)
    assert [tick.text for tick in ticks] == ["00:00", "06:00", "12:00", "18:00", "00:00"]
    hours = np.diff([tick.at for tick in ticks]) / 3600
    assert hours.tolist() == [7, 6, 6, 6]


def test_a_week_is_marked_at_local_midnights() -> None:
    voice = Voice(ENGLISH, PARIS, NOW)
    texts = [tick.text for tick in time_ticks(NOW - 7 * DAY, NOW, voice)]
    assert texts == ["16 Nov", "17 Nov", "18 Nov", "19 Nov", "20 Nov", "21 Nov", "22 Nov"]


def test_completeness_days_have_25_hours_when_the_clocks_go_back() -> None:
    edges = day_edges(Voice(ENGLISH, PARIS, OCTOBER_25 + 40 * HOUR))
    assert 25 * HOUR in np.diff(edges)
    assert re.fullmatch(r"\d+", str(edges[-1] // HOUR))
    assert edges[-1] % HOUR == 0
