"""What a sender sees: parcels, newest revisions, progress that counts."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import numpy as np

from drivers.base import Batch
from gateway.records import KpiResult
from gateway.store.catalogue import SeriesSpec
from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.progress import Acknowledged
from gateway.store.store import Store
from sync.outbox import DeadLetter, Outbox, Parcel, SinkProgress

SECOND = 1_000_000_000
QUARTER = 900 * SECOND
NOON = 1_760_000_000 * SECOND // QUARTER * QUARTER


def samples(values: list[float], start: int = NOON) -> Batch:
    return Batch.of([1] * len(values), start + np.arange(len(values)) * SECOND, values)


def quarter(start: int, mean: float) -> IntervalBlock:
    column = np.array([mean])
    return IntervalBlock(1, "15m", Intervals(np.array([start]), *([column] * 6), np.zeros(1, np.uint16)))


def result(value: float | None) -> KpiResult:
    return KpiResult(kpi="energy_use", cadence="daily", scope="site", start=5, end=6, unit="kWh", value=value)


def take(outbox: Outbox, first: int, last: int, max_rows: int = 10_000) -> Parcel:
    parcel = outbox.read(first, last, max_rows)
    assert parcel is not None
    return parcel


async def test_nothing_committed_is_nothing_to_read(store: Store) -> None:
    assert store.outbox.newest() == 0
    assert store.outbox.read(1, 100, 1000) is None


async def test_a_parcel_holds_whole_rows_up_to_about_the_lines_asked_for(store: Store) -> None:
    for at in range(4):
        await store.append(samples([1.0, 2.0], NOON + at * QUARTER))
    parcel = take(store.outbox, 1, 4, max_rows=5)
    assert (parcel.first_seq, parcel.last_seq) == (1, 2)
    assert parcel.samples is not None
    assert len(parcel.samples.value) == 4


async def test_a_row_larger_than_asked_for_is_given_whole(store: Store) -> None:
    await store.append(samples([1.0] * 50))
    parcel = take(store.outbox, 1, 1, max_rows=10)
    assert parcel.samples is not None
    assert len(parcel.samples.value) == 50


async def test_tags_name_the_site_and_follow_a_rename(store: Store) -> None:
    ids = store.catalogue.register([SeriesSpec("meter", "power", "electric_power", "kW", "gauge")])
    store.catalogue.rename(("meter", "power"), ("main-meter", "power"))
    (tags,) = store.outbox.tags(np.array([ids["meter", "power"]], np.int32))
    assert (tags.quantity, tags.site, tags.device, tags.unit) == (
        "electric_power",
        "paris-hq",
        "main-meter",
        "kW",
    )


async def test_a_kpi_computed_96_times_is_sent_once_with_its_newest_value(store: Store) -> None:
    for value in range(96):
        await store.append_records([result(float(value))])
    facts = take(store.outbox, 1, 96).facts
    assert [fact.fields["value"] for fact in facts] == [95.0]


async def test_an_old_row_alone_brings_nothing_that_a_newer_row_names_again(store: Store) -> None:
    await store.append_records([result(1.0)])
    await store.append_records([result(2.0)])
    assert take(store.outbox, 1, 1).facts == []
    assert take(store.outbox, 2, 2).facts[0].fields["value"] == 2.0


async def test_a_kpi_without_a_value_is_sent_as_not_valid(store: Store) -> None:
    await store.append_records([result(None)])
    (fact,) = take(store.outbox, 1, 1).facts
    assert fact.measurement == "kpi"
    assert dict(fact.tags)["site"] == "paris-hq"
    assert (fact.fields["value"], fact.fields["valid"], fact.time) == (None, 0.0, 5)


async def test_only_the_newest_revision_of_an_interval_is_sent(store: Store) -> None:
    await store.put_intervals([quarter(NOON, 1.0), quarter(NOON + QUARTER, 7.0)])
    await store.put_intervals([quarter(NOON, 2.0)])
    first = take(store.outbox, 1, 1).intervals
    assert [rows.columns["mean"].tolist() for rows in first] == [[7.0]]
    second = take(store.outbox, 2, 2).intervals
    assert [rows.columns["mean"].tolist() for rows in second] == [[2.0]]


async def test_a_waiting_sender_wakes_with_the_commit(store: Store) -> None:
    waiting = asyncio.create_task(asyncio.to_thread(store.outbox.wait_beyond, 0, 5.0))
    await store.append(samples([1.0]))
    assert await waiting == 1


async def test_waiting_ends_when_nothing_comes(store: Store) -> None:
    assert store.outbox.wait_beyond(0, 0.01) == 0


async def test_a_new_sink_begins_at_the_oldest_row_that_is_kept(store: Store) -> None:
    for at in range(3):
        await store.append(samples([1.0], NOON + at * SECOND))
    await store.compact()
    await store.retain()
    assert store.outbox.progress("late") == SinkProgress(low_water=2)


async def test_progress_survives_a_restart(store: Store, open_store) -> None:
    await store.append(samples([1.0]))
    progress = SinkProgress(1, ((3, 4, NOON), (7, 7, NOON + 1)))
    store.outbox.progress("central")
    store.outbox.save_progress("central", progress)
    await store.close()
    assert (await open_store()).outbox.progress("central") == progress


async def test_acknowledged_samples_are_counted_and_imported_facts_apart(store: Store) -> None:
    await store.append(samples([1.0, 2.0]))
    await store.append_records([result(1.0)])
    await store.put_intervals([quarter(NOON, 1.0), quarter(NOON + QUARTER, 1.0)], bulk=True)
    store.outbox.progress("central")
    store.outbox.save_progress("central", SinkProgress(0, ((1, 3, NOON),)))
    assert store.acknowledged("central") == Acknowledged(samples=2, facts=1, imported=2)


async def test_what_is_taken_back_after_a_lost_connection_is_no_longer_counted(store: Store) -> None:
    await store.append(samples([1.0, 2.0]))
    await store.append(samples([3.0], NOON + QUARTER))
    store.outbox.progress("central")
    store.outbox.save_progress("central", SinkProgress(1, ((2, 2, NOON),)))
    store.outbox.save_progress("central", SinkProgress(1))
    assert store.acknowledged("central").samples == 2
    store.outbox.save_progress("central", SinkProgress(2))
    assert store.acknowledged("central").samples == 3


async def test_the_count_goes_on_after_the_rows_have_gone(store: Store) -> None:
    await store.append(samples([1.0, 2.0]))
    await store.append(samples([3.0], NOON + QUARTER))
    store.outbox.progress("central")
    store.outbox.save_progress("central", SinkProgress(1))
    await store.compact()
    await store.retain()
    store.outbox.save_progress("central", SinkProgress(2))
    assert store.status().oldest_seq in (0, 1, 2)
    assert store.acknowledged("central").samples == 3


async def test_a_backlog_is_counted_by_running_totals(store: Store) -> None:
    await store.append(samples([1.0, 2.0]))
    await store.append(samples([3.0], NOON + QUARTER))
    await store.append_records([result(1.0)])
    assert store.outbox.rows_within([(1, 1), (3, 3)]) == 3
    assert store.outbox.rows_within([(4, 9)]) == 0


async def test_dead_letters_are_kept_with_their_reason(store: Store, open_store) -> None:
    letter = DeadLetter("central", 4, "power value=x 1", "invalid number", NOON)
    store.outbox.add_dead_letters([letter])
    await store.close()
    again = await open_store()
    assert again.outbox.dead_letters("central") == [letter]
    assert again.outbox.count_dead_letters("other") == 0


async def test_a_row_that_fails_its_checksum_is_skipped_and_counted(store: Store) -> None:
    for value in (1.0, 2.0, 3.0):
        await store.append(samples([value], NOON + int(value) * SECOND))
    flip_payload(store.path / "journal.db", seq=2)
    parcel = take(store.outbox, 1, 3)
    assert parcel.skipped == [2]
    assert parcel.samples is not None
    assert parcel.samples.value.tolist() == [1.0, 3.0]
    take(store.outbox, 1, 3)
    await store.append(samples([4.0], NOON + 4 * SECOND))
    assert store.status().quarantined == 1


def flip_payload(path: Path, seq: int) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    (payload,) = db.execute("SELECT payload FROM journal WHERE seq=?", (seq,)).fetchone()
    flipped = payload[:-1] + bytes((payload[-1] ^ 1,))
    db.execute("UPDATE journal SET payload=? WHERE seq=?", (flipped, seq))
    db.close()
