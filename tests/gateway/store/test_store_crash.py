"""Killed at any moment: what was acknowledged is there, what had to follow follows."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drivers.base import Batch
from gateway.records import KpiResult
from gateway.store import store as store_module
from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.reader import Reader
from gateway.store.store import Store
from sync.outbox import SinkProgress

SECOND = 1_000_000_000
NOON = 1_760_000_000 * SECOND
QUARTER = 900 * SECOND
FOREVER = 2**62
REPOSITORY = Path(__file__).parents[3]

APPENDER = """
import sys, time
from pathlib import Path
import numpy as np
from drivers.base import Batch
from gateway.site import StoreSettings
from gateway.store.store import Store

folder = Path(sys.argv[1])
store = Store.open(folder, now=time.time_ns, settings=StoreSettings(folder), commit_s=0.0)
first = store.samples_committed
while True:
    future = store.submit(Batch.of([1] * 100, 1_760_000_000_000_000_000 + first + np.arange(100), first))
    future.result()
    first += 100
    print(first, flush=True)
"""


@pytest.fixture
def crashed(tmp_path: Path):
    """A copy of the store's files as they are now: what a killed process leaves behind."""

    def copy(store: Store) -> Path:
        target = tmp_path / "crashed"
        shutil.copytree(store.path, target, ignore=shutil.ignore_patterns("*-shm"))
        return target

    return copy


def quarter(mean: float) -> IntervalBlock:
    columns = [np.array([mean])] * 6
    start = np.array([NOON // QUARTER * QUARTER])
    return IntervalBlock(1, "15m", Intervals(start, *columns, np.zeros(1, np.uint16)))


def test_every_acknowledged_append_survives_kill_9_again_and_again(tmp_path: Path) -> None:
    for _ in range(3):
        acknowledged = append_until_killed(tmp_path, after=15)
        with Reader(tmp_path) as reader:
            found = reader.samples(1, 0, FOREVER)
        assert len(found) >= acknowledged
        assert (np.diff(found.time) == 1).all()


def append_until_killed(folder: Path, after: int) -> int:
    """Run the appender, kill it after so many acknowledgements; the last count it was given."""
    command = [sys.executable, "-c", APPENDER, str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    whole = [line for line in lines if line.endswith("\n") and line.strip()]
    return int(whole[-1])


async def test_samples_that_were_acknowledged_are_there_without_a_close(store, crashed, open_store) -> None:
    await store.append(Batch.of([1], NOON, [5.0]))
    again = await open_store(crashed(store))
    with Reader(again.path) as reader:
        assert reader.samples(1, 0, FOREVER).value.tolist() == [5.0]
    assert again.outbox.newest() == 1


async def test_a_crash_between_history_and_journal_still_sends_the_intervals(
    store, crashed, open_store, monkeypatch
) -> None:
    monkeypatch.setattr(store, "_append", lambda drafts: store_module.HELD_IN_MEMORY)
    await store.put_intervals([quarter(3.0)])
    again = await open_store(crashed(store))
    parcel = again.outbox.read(1, 10, 100)
    assert parcel is not None
    assert parcel.intervals[0].columns["mean"].tolist() == [3.0]


async def test_a_crash_between_records_and_journal_still_sends_the_kpi(
    store, crashed, open_store, monkeypatch
) -> None:
    result = KpiResult(kpi="k", cadence="daily", scope="site", start=1, end=2, unit="kWh", value=1.0)
    monkeypatch.setattr(store, "_append", lambda drafts: store_module.HELD_IN_MEMORY)
    await store.append_records([result])
    again = await open_store(crashed(store))
    parcel = again.outbox.read(1, 10, 100)
    assert parcel is not None
    assert parcel.facts[0].fields["value"] == 1.0


async def test_what_was_journalled_is_not_journalled_again(store, crashed, open_store) -> None:
    await store.put_intervals([quarter(3.0)])
    again = await open_store(crashed(store))
    assert again.outbox.newest() == 1


async def test_a_crash_after_the_months_and_before_the_mark_stores_nothing_twice(
    store, crashed, open_store, monkeypatch
) -> None:
    await store.append(Batch.of([1] * 10, NOON + np.arange(10), 1.0))
    monkeypatch.setattr(store._log, "write", lambda change: True)
    await store.compact()
    monkeypatch.undo()
    again = await open_store(crashed(store))
    await again.compact()
    with Reader(again.path) as reader:
        assert len(reader.samples(1, 0, FOREVER)) == 10
        (month,) = reader._months(0, FOREVER)
        assert month.execute("SELECT sum(n) FROM chunk").fetchone() == (10,)


async def test_after_a_crash_only_what_is_not_settled_is_offered(store, crashed, open_store) -> None:
    for at in range(3):
        await store.append(Batch.of([1], NOON + at, [1.0]))
    store.outbox.progress("central")
    store.outbox.save_progress("central", SinkProgress(2))
    again = await open_store(crashed(store))
    assert again.outbox.progress("central") == SinkProgress(2)
    assert again.outbox.newest() == 3


async def test_a_torn_tail_of_the_wal_opens_and_loses_only_what_was_torn(store, crashed, open_store) -> None:
    for at in range(4):
        await store.append(Batch.of([1] * 500, NOON + at * SECOND + np.arange(500), np.arange(500) / 7))
    folder = crashed(store)
    wal = folder / "journal.db-wal"
    os.truncate(wal, wal.stat().st_size - 100)
    again = await open_store(folder)
    assert again.outbox.newest() == 3
    assert again.status().mode == "disk"
    assert await again.append(Batch.of([1], NOON + 9 * SECOND, [1.0])) == 4
