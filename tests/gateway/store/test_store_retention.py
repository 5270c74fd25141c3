"""What goes and what stays, and that files shrink."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.base import Batch
from gateway.records import KpiResult
from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.reader import Reader
from gateway.store.store import Store
from sync.outbox import SinkProgress

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
NOON = 1_760_000_000 * SECOND
FOREVER = 2**62


def noise(n: int, start: int, series: int = 1) -> Batch:
    """Samples that do not compress: about eight bytes each."""
    values = np.random.default_rng(start % 1000).random(n)
    return Batch.of([series] * n, start + np.arange(n) * SECOND, values)


async def fill(store: Store, commits: int, n: int = 5000, start: int = NOON) -> None:
    for at in range(commits):
        await store.append(noise(n, start + at * n * SECOND))


async def test_rows_stay_until_every_sink_has_settled_them(store: Store) -> None:
    await fill(store, 4, n=10)
    store.outbox.progress("fast")
    store.outbox.progress("slow")
    store.outbox.save_progress("fast", SinkProgress(4))
    store.outbox.save_progress("slow", SinkProgress(1, ((3, 3, NOON),)))
    await store.compact()
    await store.retain()
    parcel = store.outbox.read(2, 4, 1000)
    assert parcel is not None
    assert parcel.samples is not None
    assert len(parcel.samples.value) == 30
    assert store.outbox.read(1, 1, 1000) is None


async def test_a_sink_that_is_no_longer_configured_holds_nothing_back(store: Store) -> None:
    await fill(store, 3, n=10)
    store.outbox.progress("former")
    store.keep_for([])
    await store.compact()
    await store.retain()
    assert store.outbox.read(1, 2, 1000) is None


async def test_a_configured_sink_that_has_not_asked_yet_holds_everything_back(store: Store) -> None:
    await fill(store, 3, n=10)
    store.outbox.progress("fast")
    store.outbox.save_progress("fast", SinkProgress(3))
    store.keep_for(["fast", "starting"])
    await store.compact()
    await store.retain()
    parcel = store.outbox.read(1, 3, 1000)
    assert parcel is not None
    assert parcel.first_seq == 1


async def test_rows_that_are_not_compacted_stay(store: Store) -> None:
    await fill(store, 3, n=10)
    await store.retain()
    parcel = store.outbox.read(1, 3, 1000)
    assert parcel is not None
    assert (parcel.first_seq, parcel.last_seq) == (1, 3)


async def test_a_drained_journal_shrinks_and_nothing_settled_is_offered_again(
    store: Store, open_store
) -> None:
    store.outbox.progress("central")
    await fill(store, 30)
    journal = store.path / "journal.db"
    await store.close()
    full = journal.stat().st_size
    again = await open_store()
    again.outbox.save_progress("central", SinkProgress(30))
    await again.compact()
    await again.retain()
    await again.close()
    assert journal.stat().st_size < full / 2
    third = await open_store()
    assert third.outbox.progress("central") == SinkProgress(30)
    assert third.outbox.newest() == 30
    with Reader(third.path) as reader:
        assert len(reader.samples(1, 0, FOREVER)) == 150_000


async def test_over_the_cap_settled_samples_go_before_unsettled_ones(open_store, tmp_path) -> None:
    store = await open_store(tmp_path / "capped", max_bytes=3 << 20, min_free=0)
    store.outbox.progress("central")
    await fill(store, 40)
    store.outbox.save_progress("central", SinkProgress(30))
    await store.compact()
    await store.retain()
    assert store.status().dropped == 0
    parcel = store.outbox.read(31, 40, 10**9)
    assert parcel is not None
    assert parcel.samples is not None
    assert len(parcel.samples.value) == 50_000


async def test_over_the_cap_the_oldest_unsettled_samples_go_and_are_counted(open_store, tmp_path) -> None:
    store = await open_store(tmp_path / "capped", max_bytes=2 << 20, min_free=0)
    store.outbox.progress("central")
    await fill(store, 80)
    await store.retain()
    kept = rows_kept(store, 80)
    assert store.status().dropped == 80 * 5000 - kept * 5000
    assert 0 < kept < 80
    newest = store.outbox.read(80, 80, 10**9)
    assert newest is not None


def rows_kept(store: Store, newest: int) -> int:
    parcel = store.outbox.read(1, newest, 10**9)
    assert parcel is not None
    assert parcel.samples is not None
    return len(parcel.samples.value) // 5000


async def test_over_the_cap_kpi_results_stay(open_store, tmp_path) -> None:
    store = await open_store(tmp_path / "capped", max_bytes=1 << 20, min_free=0)
    store.outbox.progress("central")
    result = KpiResult(kpi="k", cadence="daily", scope="site", start=1, end=2, unit="kWh", value=1.0)
    await store.append_records([result])
    await fill(store, 60)
    await store.retain()
    with Reader(store.path) as reader:
        assert reader.kpis() == [result]
    parcel = store.outbox.read(1, 1, 10)
    assert parcel is not None
    assert [fact.measurement for fact in parcel.facts] == ["kpi"]


async def test_raw_samples_go_by_age_and_intervals_stay(store: Store, open_store, clock) -> None:
    await fill(store, 1, n=100, start=NOON)
    await store.put_intervals([one_quarter(NOON // (900 * SECOND) * 900 * SECOND)])
    await store.compact()
    await store.close()
    clock.advance(91 * 86_400)
    again = await open_store(raw_days=90, interval_days=1800)
    await again.retain()
    with Reader(again.path) as reader:
        assert len(reader.samples(1, 0, FOREVER)) == 0
        assert len(reader.intervals(1, "15m", 0, FOREVER)) == 1


async def test_a_month_older_than_everything_kept_is_deleted_as_a_file(
    store: Store, open_store, clock
) -> None:
    await fill(store, 1, n=100, start=NOON)
    await store.compact()
    await store.close()
    clock.advance(100 * 86_400)
    again = await open_store(raw_days=30, interval_days=30)
    await again.retain()
    assert list(again.path.glob("history-*.db")) == []


def one_quarter(start: int) -> IntervalBlock:
    columns: Sequence[np.ndarray] = [np.array([1.0])] * 6
    return IntervalBlock(1, "15m", Intervals(np.array([start]), *columns, np.zeros(1, np.uint16)))


async def test_the_room_left_is_told_in_time_at_the_present_pace(open_store, tmp_path, clock) -> None:
    store = await open_store(tmp_path / "capped", max_bytes=64 << 20, min_free=0)
    assert store.status().room_s is None
    for at in range(13):
        await store.append(noise(1000, NOON + at * 1000 * SECOND))
        clock.advance(10)
    status = store._take_status()
    assert status.room_s is not None
    bytes_left = status.bytes_cap - status.bytes_used
    assert 0.5 < status.room_s * 800 / bytes_left < 2
