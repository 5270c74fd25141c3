"""The live table shows the newest sample and tells what changed."""

from __future__ import annotations

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Batch, Quality
from gateway.live import LiveTable


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50)), min_size=1, max_size=60))
def test_the_newest_sample_of_each_series_is_shown_whatever_the_order_of_arrival(
    rows: list[tuple[int, int]],
) -> None:
    table = LiveTable()
    table.make_room(5)
    for start in range(0, len(rows), 7):
        part = rows[start : start + 7]
        table.update(Batch.of([s for s, _ in part], [t for _, t in part], [float(t) for _, t in part]))
    for series in {s for s, _ in rows}:
        newest = max(t for s, t in rows if s == series)
        assert table.time[series] == newest
        assert table.value[series] == newest


def test_a_bad_sample_is_shown_but_the_time_of_the_last_good_one_stays() -> None:
    table = LiveTable()
    table.make_room(1)
    table.update(Batch.of([1], 10, [5.0]))
    table.update(Batch.of([1], 20, [np.nan], Quality.COMM_LOST))
    assert (table.time[1], table.good_time[1], table.quality[1]) == (20, 10, Quality.COMM_LOST)


def test_after_the_clock_was_stepped_back_new_samples_are_shown_at_once() -> None:
    hour = 3600 * 10**9
    now = 10 * hour
    table = LiveTable(lambda: now)
    table.make_room(1)
    table.update(Batch.of([1], now, [5.0]))
    now = 9 * hour
    table.update(Batch.of([1], now, [np.nan], Quality.COMM_LOST))
    assert (table.time[1], table.quality[1]) == (now, Quality.COMM_LOST)
    table.update(Batch.of([1], now - 1, [4.0]))
    assert table.time[1] == now


async def test_a_listener_gets_each_change_once() -> None:
    table = LiveTable()
    table.make_room(9)
    changes = table.changes(pause_s=0.01)
    table.update(Batch.of([1], 1, [1.0]))
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    table.update(Batch.of([2, 3], 1, [1.0, 2.0]))
    assert set((await waiting).tolist()) >= {2, 3}
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    table.update(Batch.of([7], 1, [1.0]))
    assert (await waiting).tolist() == [7]
    await changes.aclose()  # type: ignore[attr-defined]
