"""Where a series' intervals end: what the KPI worker goes on from."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.reader import Reader
from gateway.store.store import Store

QUARTER = 900 * 10**9
DAY = 96 * QUARTER
NOON = 1_760_000_000 * 10**9 // DAY * DAY


def quarters(series: int, *starts: int) -> IntervalBlock:
    n = len(starts)
    ones = np.ones(n)
    columns = Intervals(
        np.array(starts, np.int64), ones, ones, ones, ones, ones, ones, np.zeros(n, np.uint16)
    )
    return IntervalBlock(series, "15m", columns)


async def test_it_is_the_newest_start_of_all_months(store: Store) -> None:
    await store.put_intervals([quarters(1, NOON, NOON + QUARTER, NOON + 40 * DAY), quarters(2, NOON)])
    with Reader(store.path) as reader:
        assert reader.newest_interval_start(1, "15m") == NOON + 40 * DAY
        assert reader.newest_interval_start(2, "15m") == NOON
        assert reader.newest_interval_start(1, "1h") == 0
        assert reader.newest_interval_start(3, "15m") == 0


async def test_a_damaged_block_is_counted_and_the_one_before_it_answers(store: Store) -> None:
    await store.put_intervals([quarters(1, NOON, NOON + DAY)])
    with sqlite3.connect(next(store.path.glob("history-*.db"))) as db:
        db.execute("UPDATE interval SET crc = crc + 1 WHERE block = ?", (NOON + DAY,))
    db.close()
    with Reader(store.path) as reader:
        assert reader.newest_interval_start(1, "15m") == NOON
        assert reader.damaged == 1


async def test_an_unknown_resolution_is_an_error(store: Store) -> None:
    with Reader(store.path) as reader, pytest.raises(KeyError):
        reader.newest_interval_start(1, "7m")
