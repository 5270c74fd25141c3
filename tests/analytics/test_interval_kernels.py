"""Samples to intervals: means with hold, counters with rollover and reset, roll-up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.counters import STEP_RESET, STEP_ROLLOVER, unwrap
from analytics.flags import IntervalFlag
from analytics.intervals import Columns, counter_intervals, gauge_intervals, roll_up

S = 10**9
NAN = float("nan")


def at(*seconds: float) -> np.ndarray:
    return np.array([round(s * S) for s in seconds], np.int64)


@pytest.mark.parametrize(
    ("before", "after", "modulus", "advance"),
    [(4294967290.0, 5.0, 2.0**32, 11.0), (65530.0, 3.0, 2.0**16, 9.0)],
)
def test_a_counter_past_its_modulus_goes_on(
    before: float, after: float, modulus: float, advance: float
) -> None:
    total, epoch, step = unwrap(at(0, 3600), np.array([before, after]), modulus, 100.0)
    assert total.tolist() == [0.0, advance]
    assert epoch.tolist() == [0, 0]
    assert step[1] == STEP_ROLLOVER


@pytest.mark.parametrize("rate", [0.0, 5.0])
def test_a_fall_too_large_for_the_nameplate_is_a_reset(rate: float) -> None:
    total, epoch, step = unwrap(at(0, 3600), np.array([65000.0, 3.0]), 2.0**16, rate)
    assert (total[1], epoch[1], step[1]) == (0.0, 1, STEP_RESET)


def test_a_jump_no_meter_can_make_is_a_reset() -> None:
    """A register that reads 0 for one poll must not be paid back as energy."""
    total, epoch, _ = unwrap(at(0, 10, 20, 30), np.array([1e6, 0.0, 1e6, 1e6 + 1]), 0.0, 100.0)
    assert total[-1] == 1.0
    assert epoch[-1] == 2


def test_a_coarse_register_rolls_over_between_fast_polls() -> None:
    """50 kW and whole kWh: the register stands still for minutes, then jumps by 1, here past its modulus."""
    time = at(*range(0, 120, 10))
    reading = np.where(time < 75 * S, 999.0, 0.0)
    total, epoch, _ = unwrap(time, reading, 1000.0, 100.0)
    assert total[-1] == 1.0
    assert epoch[-1] == 0


def test_a_gauge_is_weighted_by_the_time_each_value_held() -> None:
    found = gauge_intervals(at(0, 60), np.array([10.0, 20.0]), at(0, 100), 200 * S)
    assert found.mean.tolist() == [(10 * 60 + 20 * 40) / 100]
    assert (found.min[0], found.max[0], found.count[0], found.completeness[0]) == (10.0, 20.0, 2.0, 100.0)


def test_a_value_from_before_the_edge_holds_into_the_interval() -> None:
    found = gauge_intervals(at(-5), np.array([7.0]), at(0, 10), 15 * S)
    assert (found.mean[0], found.count[0], found.completeness[0]) == (7.0, 0.0, 100.0)


def test_a_bad_sample_ends_the_hold() -> None:
    found = gauge_intervals(at(0, 30), np.array([7.0, NAN]), at(0, 100), 200 * S)
    assert found.completeness.tolist() == [30.0]
    assert found.flags[0] & IntervalFlag.INCOMPLETE


def test_silence_longer_than_the_hold_is_missing() -> None:
    found = gauge_intervals(at(0), np.array([7.0]), at(0, 100, 200), 30 * S)
    assert found.completeness.tolist() == [30.0, 0.0]
    assert np.isnan(found.mean[1])


def test_a_counters_edges_are_interpolated() -> None:
    found = counter_intervals(at(-50, 50, 150), np.array([0.0, 100.0, 200.0]), at(0, 100), 200 * S)
    assert found.delta.tolist() == [100.0]
    assert found.completeness.tolist() == [100.0]


def test_a_gap_is_spread_and_called_an_estimate() -> None:
    found = counter_intervals(at(0, 400), np.array([0.0, 40.0]), at(0, 100, 200, 300, 400), 30 * S)
    assert found.delta.tolist() == [10.0] * 4
    assert found.completeness.tolist() == [0.0] * 4
    assert (found.flags & IntervalFlag.ESTIMATED).all()


def test_an_interval_with_a_reset_has_no_advance() -> None:
    time, reading = at(0, 50, 100, 150, 200), np.array([500.0, 510.0, 0.0, 10.0, 20.0])
    found = counter_intervals(time, reading, at(0, 100, 200), 60 * S)
    assert np.isnan(found.delta[0])
    assert found.flags[0] & IntervalFlag.RESET
    assert found.delta[1] == 20.0


def test_what_is_known_of_less_than_half_an_interval_is_not_scaled_up() -> None:
    found = counter_intervals(at(60, 80, 100, 120), np.array([0.0, 2.0, 4.0, 6.0]), at(0, 100, 200), 60 * S)
    assert np.isnan(found.delta).tolist() == [True, True]


@given(st.lists(st.tuples(st.floats(1, 50), st.floats(0, 100)), min_size=20, max_size=60))
def test_the_advances_of_all_intervals_add_up_to_the_registers(steps: list[tuple[float, float]]) -> None:
    time = np.cumsum([round(s * S) for s, _ in steps]).astype(np.int64)
    reading = np.cumsum([advance for _, advance in steps])
    edges = np.linspace(time[0], time[-1], 8).astype(np.int64)
    found = counter_intervals(time, reading, edges, 60 * S)
    assert float(found.delta.sum()) == pytest.approx(reading[-1] - reading[0], abs=1e-6)


def quarters(delta: list[float]) -> Columns:
    n = len(delta)
    d = np.array(delta)
    known = ~np.isnan(d)
    zeros = np.zeros(n)
    start = np.arange(n, dtype=np.int64) * 900 * S
    return Columns(start, d, d, d, d, zeros + known, 100.0 * known, np.zeros(n, np.uint16))


def test_a_quarter_of_an_hour_that_is_missing_is_made_up_by_the_mean_of_the_others() -> None:
    found = roll_up(quarters([1.0, 2.0, NAN, 3.0]), 900 * S, at(0, 3600))
    assert found.delta.tolist() == [8.0]
    assert found.completeness.tolist() == [75.0]
    assert found.flags[0] & IntervalFlag.ESTIMATED


def test_an_hour_with_more_than_half_missing_is_missing() -> None:
    found = roll_up(quarters([1.0, NAN, NAN, NAN]), 900 * S, at(0, 3600))
    assert np.isnan(found.delta[0])


def test_without_compilation_the_kernels_give_the_same() -> None:
    py = unwrap.py_func if hasattr(unwrap, "py_func") else unwrap
    time, reading = at(0, 10, 20), np.array([5.0, 6.0, 2.0])
    for ours, plain in zip(unwrap(time, reading, 0.0, 0.0), py(time, reading, 0.0, 0.0), strict=True):
        assert ours.tolist() == plain.tolist()
