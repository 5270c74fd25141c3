"""Damaged files are set aside and never stop the store; what can be read of them is brought over."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from drivers.base import Batch
from gateway.records import KpiResult
from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.errors import StoreError
from gateway.store.reader import Reader
from gateway.store.store import Store
from sync.outbox import Parcel, SinkProgress

SECOND = 1_000_000_000
NOON = 1_760_000_000 * SECOND
FOREVER = 2**62
PAGE = 4096


def rows(at: int, n: int = 1000) -> Batch:
    values = np.random.default_rng(at).random(n)
    return Batch.of([1] * n, NOON + at * n * SECOND + np.arange(n) * SECOND, values)


def damage(path: Path, first_page: int, pages: int = 1) -> None:
    """Overwrite pages in the middle of a file that nobody has open."""
    with path.open("r+b") as file:
        file.seek(first_page * PAGE)
        file.write(b"\xa5" * PAGE * pages)


async def settle(store: Store) -> None:
    """Let background work that was waiting be done."""
    for _ in range(2):
        await store.retain()
    work = store._chores()

    def finish() -> None:
        for _ in work:
            pass

    store._writer.call(finish).result()


async def test_a_file_that_is_no_database_is_set_aside_and_counted(store: Store, open_store) -> None:
    await store.append(rows(0))
    await store.close()
    (store.path / "journal.db").write_bytes(b"\x5a" * 40_000)
    again = await open_store()
    assert list(store.path.glob("journal.db.corrupt-*"))
    assert await again.append(rows(1)) > 1
    await settle(again)
    assert again.status().quarantined >= 1
    assert again.status().mode == "disk"


async def test_a_new_journal_starts_above_every_seq_that_was_given(store: Store, open_store) -> None:
    for at in range(5):
        await store.append(rows(at, 10))
    await store.compact()
    await store.close()
    (store.path / "journal.db").write_bytes(b"\x5a" * 40_000)
    again = await open_store()
    assert await again.append(rows(9, 10)) > 5
    assert again.status().samples_committed == 60
    with Reader(again.path) as reader:
        assert len(reader.samples(1, 0, FOREVER)) == 60


async def test_intact_rows_of_a_damaged_journal_are_still_sent(store: Store, open_store) -> None:
    store.outbox.progress("central")
    for at in range(40):
        await store.append(rows(at))
    store.outbox.save_progress("central", SinkProgress(3))
    await store.close()
    damage(store.path / "journal.db", 40)
    again = await open_store()
    parcel = await read_all(again, 41)
    await settle(again)
    parcel = await read_all(again, 41)
    assert again.outbox.progress("central") == SinkProgress(3)
    kept = 0 if parcel is None or parcel.samples is None else len(parcel.samples.value)
    lost = again.status().quarantined
    assert kept >= 30_000
    assert lost == 40 - kept // 1000 or lost == len(parcel.skipped if parcel else ())


async def read_all(store: Store, last: int) -> Parcel | None:
    return store.outbox.read(1, last, 10**9)


async def test_a_journal_damaged_while_running_is_replaced_as_soon_as_it_is_read(store: Store) -> None:
    for at in range(40):
        await store.append(rows(at))

    def break_it() -> None:
        store._log.journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(store.path / "journal.db", 1, 30)

    store._writer.call(break_it).result()
    with pytest.raises((sqlite3.DatabaseError, StoreError)):
        store.outbox.read(1, 40, 10**9)
    assert list(store.path.glob("journal.db.corrupt-*"))
    assert await store.append(rows(40)) == 41
    await settle(store)
    parcel = store.outbox.read(1, 41, 10**9)
    assert parcel is not None
    assert parcel.samples is not None
    assert len(parcel.samples.value) == 1000 * (41 - store.status().quarantined)


async def test_while_rows_are_recovered_the_sender_is_not_told_that_there_are_none(store: Store) -> None:
    await store.append(rows(0))
    store._writer.call(store._log.replace).result()
    try:
        told = store.outbox.read(1, 1, 10_000)
    except StoreError:
        told = None
    else:
        assert told is not None
    await settle(store)
    parcel = store.outbox.read(1, 1, 10_000)
    assert parcel is not None
    assert parcel.samples is not None
    assert len(parcel.samples.value) == 1000


async def test_a_damaged_month_is_set_aside_and_the_rest_stays_readable(store: Store, open_store) -> None:
    await store.append(rows(0))
    await store.compact()
    await store.append(Batch.of([1], NOON + 40 * 86_400 * SECOND, [1.0]))
    await store.compact()
    await store.close()
    (store.path / "history-2025-10.db").write_bytes(b"\x5a" * 40_000)
    again = await open_store()
    await again.put_intervals([quarter()])
    with Reader(again.path) as reader:
        assert reader.samples(1, NOON + 30 * 86_400 * SECOND, FOREVER).value.tolist() == [1.0]
        assert len(reader.intervals(1, "15m", 0, FOREVER)) == 1
    assert again.status().quarantined >= 1


async def test_damaged_records_are_set_aside_and_new_ones_taken(store: Store, open_store) -> None:
    await store.close()
    (store.path / "records.db").write_bytes(b"\x5a" * 40_000)
    again = await open_store()
    result = KpiResult(kpi="k", cadence="daily", scope="site", start=1, end=2, unit="kWh", value=1.0)
    await again.append_records([result])
    with Reader(again.path) as reader:
        assert reader.kpis() == [result]


async def test_a_reader_goes_on_after_the_journal_was_replaced(store: Store) -> None:
    await store.append(rows(0))
    with Reader(store.path) as reader:
        assert len(reader.samples(1, 0, FOREVER)) == 1000
        store._writer.call(store._log.replace).result()
        await settle(store)
        await store.append(rows(1))
        assert len(reader.samples(1, 0, FOREVER)) == 2000


def quarter() -> IntervalBlock:
    columns = [np.array([1.0])] * 6
    start = np.array([NOON // (900 * SECOND) * 900 * SECOND])
    return IntervalBlock(1, "15m", Intervals(start, *columns, np.zeros(1, np.uint16)))
