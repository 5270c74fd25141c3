"""From stored columns to role columns, and what of it is news."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.flags import IntervalFlag
from analytics.intervals import Columns
from gateway.kpi.feed import QUARTER, merge, point_intervals, role_intervals
from gateway.kpi.messages import PointModel, RoleModel
from gateway.store.columns import Intervals
from gateway.store.history import Samples

NAN = float("nan")
S = 10**9


def columns(starts: list[int], delta: list[float], completeness: float = 100.0, flags: int = 0) -> Columns:
    n = len(starts)
    nothing = np.full(n, NAN)
    return Columns(
        np.array(starts, np.int64) * QUARTER,
        nothing,
        nothing,
        nothing,
        np.array(delta),
        np.ones(n),
        np.full(n, completeness),
        np.full(n, flags, np.uint16),
    )


class OneSeries:
    """A reader of one series of samples."""

    def __init__(self, time: np.ndarray, value: np.ndarray, quality: int = 0) -> None:
        self._samples = Samples(time.astype(np.int64), value, np.full(len(time), quality, np.uint8))

    def samples(self, series: int, start_ns: int, end_ns: int) -> Samples:
        begin, end = np.searchsorted(self._samples.time, (start_ns, end_ns))
        return self._samples.take(slice(int(begin), int(end)))

    def intervals(self, series: int, resolution: str, start_ns: int, end_ns: int) -> Intervals:
        raise AssertionError("not read here")

    def oldest_sample_time(self, series: int) -> int:
        return int(self._samples.time[0])

    def newest_interval_start(self, series: int, resolution: str) -> int:
        return 0


METER = PointModel(1, "main-meter", "energy", "counter", 30.0)


def test_a_points_quarter_hours_come_from_samples_around_their_edges() -> None:
    time = np.arange(-10, 1850, 10)
    reader = OneSeries(time * S, (time + 10) / 100)
    made, newest = point_intervals(reader, METER, 0, 2 * QUARTER, look_ns=QUARTER)
    assert made.delta.tolist() == pytest.approx([9.0, 9.0])
    assert made.completeness.tolist() == [100.0, 100.0]
    assert newest == 1840 * S


def test_uncertain_samples_flag_their_interval() -> None:
    time = np.arange(0, 900, 10)
    reader = OneSeries(time * S, time * 1.0, quality=17)
    made, _ = point_intervals(reader, METER, 0, QUARTER, look_ns=0)
    assert made.flags[0] & IntervalFlag.UNCERTAIN


def test_only_what_differs_is_news() -> None:
    old = columns([0, 1, 2], [1.0, 2.0, 3.0])
    merged, changed = merge(old, columns([1, 2, 3], [2.0, 5.0, 4.0]), respect_imports=True)
    assert (changed.start // QUARTER).tolist() == [2, 3]
    assert merged.delta.tolist() == [1.0, 2.0, 5.0, 4.0]


def test_an_interval_that_knows_nothing_is_no_news() -> None:
    empty = columns([5], [NAN], completeness=0.0)
    empty = Columns(
        empty.start, *([empty.mean] * 3), empty.delta, np.zeros(1), empty.completeness, empty.flags
    )
    merged, changed = merge(columns([0], [1.0]), empty, respect_imports=True)
    assert (len(merged), len(changed)) == (1, 0)


@pytest.mark.parametrize(("completeness", "stays"), [(53.0, True), (100.0, False)])
def test_an_imported_interval_gives_way_only_to_one_as_complete(completeness: float, stays: bool) -> None:
    imported = columns([0], [1.0], flags=int(IntervalFlag.IMPORTED))
    merged, changed = merge(imported, columns([0], [2.0], completeness), respect_imports=True)
    assert merged.delta.tolist() == [1.0 if stays else 2.0]
    assert len(changed) == (0 if stays else 1)


def test_a_role_is_its_expression_over_its_members() -> None:
    role = RoleModel(9, "site.electricity.import", "main/e - ev/e * 0.5", "counter", "kWh")
    members = {"main/e": columns([0, 1], [10.0, 10.0]), "ev/e": columns([0, 1], [2.0, 2.0], 80.0)}
    edges = np.arange(4, dtype=np.int64) * QUARTER
    made = role_intervals(role, members, {"main/e": "counter", "ev/e": "counter"}, edges)
    assert made.delta[:2].tolist() == [9.0, 9.0]
    assert made.completeness.tolist() == [80.0, 80.0, 0.0]
    assert np.isnan(made.delta[2])
