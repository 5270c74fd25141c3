"""What goes in comes out: samples, records, intervals, counted over restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from drivers.base import Batch, Quality
from gateway.records import Alarm, Event, Health, KpiResult, Severity
from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.errors import StoreClosedError
from gateway.store.reader import Reader
from gateway.store.store import Store

SECOND = 1_000_000_000
NOON = 1_760_000_000 * SECOND
FOREVER = 2**62


def batch(series: int, values: list[float], start: int = NOON) -> Batch:
    return Batch.of([series] * len(values), start + np.arange(len(values)) * SECOND, values)


def block(series: int, starts: list[int], mean: float, resolution: str = "15m") -> IntervalBlock:
    column = np.full(len(starts), mean)
    return IntervalBlock(
        series, resolution, Intervals(np.array(starts), *([column] * 6), np.zeros(len(starts), np.uint16))
    )


def result(value: float, start: int = NOON, kpi: str = "energy_use") -> KpiResult:
    return KpiResult(
        kpi=kpi, cadence="daily", scope="site", start=start, end=start + 1, unit="kWh", value=value
    )


def alarm(cleared: int = 0) -> Alarm:
    return Alarm(
        source="main-meter",
        kind="device_lost",
        severity=Severity.WARNING,
        message="m",
        raised=7,
        cleared=cleared,
    )


async def test_appended_samples_are_read_back_before_and_after_compaction(store: Store) -> None:
    await store.append(batch(1, [1.0, 2.0, 3.0]))
    with Reader(store.path) as reader:
        before = reader.samples(1, 0, FOREVER)
        await store.compact()
        after = reader.samples(1, 0, FOREVER)
    assert before.value.tolist() == after.value.tolist() == [1.0, 2.0, 3.0]
    assert after.time.tolist() == [NOON, NOON + SECOND, NOON + 2 * SECOND]


async def test_a_bad_sample_keeps_its_quality_and_has_no_value(store: Store) -> None:
    await store.append(Batch.of([1], NOON, np.nan, Quality.COMM_LOST))
    await store.compact()
    with Reader(store.path) as reader:
        found = reader.samples(1, 0, FOREVER)
    assert found.quality.tolist() == [Quality.COMM_LOST]
    assert np.isnan(found.value).all()


async def test_samples_are_sorted_and_the_last_written_stays_where_two_have_one_time(store: Store) -> None:
    await store.append(batch(1, [1.0, 2.0]))
    await store.compact()
    await store.append(batch(1, [9.0]))
    await store.append(batch(1, [0.5], NOON - SECOND))
    with Reader(store.path) as reader:
        assert reader.samples(1, 0, FOREVER).value.tolist() == [0.5, 9.0, 2.0]
        await store.compact()
        assert reader.samples(1, 0, FOREVER).value.tolist() == [0.5, 9.0, 2.0]


async def test_a_range_of_samples_includes_its_start_and_not_its_end(store: Store) -> None:
    await store.append(batch(1, [1.0, 2.0, 3.0]))
    with Reader(store.path) as reader:
        assert reader.samples(1, NOON, NOON + SECOND).value.tolist() == [1.0]


async def test_samples_of_two_months_go_to_two_files_and_come_back_as_one_series(store: Store) -> None:
    november = 1_761_955_200 * SECOND
    await store.append(batch(1, [1.0, 2.0, 3.0], november - SECOND))
    await store.compact()
    assert len(list(store.path.glob("history-*.db"))) == 2
    with Reader(store.path) as reader:
        assert reader.samples(1, 0, FOREVER).value.tolist() == [1.0, 2.0, 3.0]


async def test_small_flushes_are_merged_into_full_chunks(store: Store) -> None:
    for at in range(12):
        await store.append(batch(1, [float(at)] * 200, NOON + at * 200 * SECOND))
        await store.compact()
    with Reader(store.path) as reader:
        assert len(reader.samples(1, 0, FOREVER)) == 2400
        sizes = [n for (n,) in reader._months(0, FOREVER)[0].execute("SELECT n FROM chunk ORDER BY id")]
    assert len(sizes) <= 7
    assert max(sizes) >= 1024


async def test_batches_appended_together_share_one_commit(store: Store) -> None:
    seqs = await asyncio.gather(*(store.append(batch(n, [1.0])) for n in range(1, 30)))
    assert set(seqs) == {1}


async def test_totals_and_seq_go_on_after_a_restart(store: Store, open_store) -> None:
    await store.append(batch(1, [1.0, 2.0]))
    await store.close()
    again = await open_store()
    assert again.status().samples_committed == 2
    assert await again.append(batch(1, [3.0], NOON + 9 * SECOND)) == 2
    assert again.status().samples_committed == 3


async def test_totals_outlive_the_rows(store: Store, open_store) -> None:
    for at in range(5):
        await store.append(batch(1, [1.0], NOON + at * SECOND))
    await store.compact()
    await store.retain()
    await store.close()
    again = await open_store()
    assert again.status().oldest_seq == 5
    assert again.status().samples_committed == 5


async def test_close_commits_what_was_submitted(store: Store, open_store) -> None:
    future = store.submit(batch(1, [4.0]))
    await store.close()
    assert future.result() == 1
    with pytest.raises(StoreClosedError):
        store.submit(batch(1, [5.0]))
    with Reader(store.path) as reader:
        assert reader.samples(1, 0, FOREVER).value.tolist() == [4.0]


async def test_the_newest_revision_of_an_interval_wins(store: Store) -> None:
    start = NOON // (900 * SECOND) * 900 * SECOND
    await store.put_intervals([block(1, [start, start + 900 * SECOND], 1.0)])
    await store.put_intervals([block(1, [start], 2.0)])
    with Reader(store.path) as reader:
        found = reader.intervals(1, "15m", 0, FOREVER)
    assert found.mean.tolist() == [2.0, 1.0]
    assert found.start.tolist() == [start, start + 900 * SECOND]


async def test_each_resolution_is_a_series_of_its_own(store: Store) -> None:
    hour = NOON // (3600 * SECOND) * 3600 * SECOND
    await store.put_intervals([block(1, [hour], 1.0, "15m"), block(1, [hour], 2.0, "1h")])
    with Reader(store.path) as reader:
        assert reader.intervals(1, "15m", 0, FOREVER).mean.tolist() == [1.0]
        assert reader.intervals(1, "1h", 0, FOREVER).mean.tolist() == [2.0]
        assert len(reader.intervals(1, "1d", 0, FOREVER)) == 0


async def test_an_imported_year_of_quarter_hours_comes_back_whole(store: Store) -> None:
    starts = (NOON // (900 * SECOND) - np.arange(35_040)[::-1]) * 900 * SECOND
    column = np.arange(35_040, dtype=np.float64)
    flags = np.ones(35_040, np.uint16)
    await store.put_intervals([IntervalBlock(3, "15m", Intervals(starts, *([column] * 6), flags))], bulk=True)
    with Reader(store.path) as reader:
        found = reader.intervals(3, "15m", 0, FOREVER)
    assert (found.start == starts).all()
    assert (found.delta == column).all()
    assert (found.flags == 1).all()


async def test_an_unknown_resolution_is_refused(store: Store) -> None:
    with pytest.raises(KeyError):
        await store.put_intervals([block(1, [NOON], 1.0, "7m")])


async def test_a_kpi_result_replaces_the_one_of_the_same_period(store: Store) -> None:
    await store.append_records([result(1.0), result(5.0, NOON + 86_400 * SECOND)])
    await store.append_records([result(2.0)])
    with Reader(store.path) as reader:
        history = reader.kpi_history("energy_use", "daily", "site", 0, FOREVER)
        newest = reader.kpis()
    assert [r.value for r in history] == [2.0, 5.0]
    assert [r.value for r in newest] == [5.0]


async def test_an_alarm_is_open_until_it_is_cleared(store: Store) -> None:
    await store.append_records([alarm()])
    with Reader(store.path) as reader:
        assert reader.open_alarms() == [alarm()]
        await store.append_records([alarm(cleared=9)])
        assert reader.open_alarms() == []
        assert reader.alarms(0, 100) == [alarm(cleared=9)]


async def test_events_are_kept_and_health_figures_only_sent(store: Store) -> None:
    event = Event(source="gateway", kind="start", time=NOON)
    await store.append_records([event, Health(component="store", time=NOON, figures={"bytes": 1.0})])
    with Reader(store.path) as reader:
        assert reader.events(0, FOREVER) == [event]
    parcel = store.outbox.read(1, 10, 100)
    assert parcel is not None
    assert [fact.measurement for fact in parcel.facts] == ["event", "gateway"]


async def test_the_newest_sample_time_is_found_in_the_tail_and_in_the_history(store: Store) -> None:
    await store.append(batch(1, [1.0, 2.0]))
    with Reader(store.path) as reader:
        assert reader.newest_sample_time(1) == NOON + SECOND
        await store.compact()
        assert reader.newest_sample_time(1) == NOON + SECOND
        assert reader.newest_sample_time(2) == 0


def test_a_folder_without_a_store_reads_as_empty(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        assert len(reader.samples(1, 0, FOREVER)) == 0
        assert len(reader.intervals(1, "15m", 0, FOREVER)) == 0
        assert reader.kpis() == reader.open_alarms() == reader.events(0, 1) == reader.series() == []
