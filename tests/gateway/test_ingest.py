"""What ingest promises: canonical values, honest flags, one commit, nothing dropped."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from drivers.base import Batch, Kind, Quality, Settings
from gateway.ingest import ConversionTable, Ingest
from gateway.site import PointSpec


def point(**changes: object) -> PointSpec:
    facts: dict[str, object] = {
        "device": "meter",
        "name": "power",
        "source": Settings(),
        "quantity": "electric_power",
        "unit": "kW",
        "source_unit": "W",
        "kind": Kind.GAUGE,
        "every_s": 1.0,
        "factor": 0.001,
    }
    return PointSpec(**(facts | changes))  # type: ignore[arg-type]


class Disk:
    """A journal in memory that can refuse."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.broken = False
        self.read_only = False

    async def append(self, batch: Batch) -> int:
        if self.broken:
            raise OSError("disk")
        self.batches.append(batch)
        return 0 if self.read_only else len(self.batches)


def test_values_become_canonical_by_factor_and_offset() -> None:
    table = ConversionTable({3: point(), 5: point(factor=5 / 9, offset=-160 / 9)})
    converted = table.convert(Batch.of([3, 5], 1, [2500.0, 212.0]))
    assert converted.value == pytest.approx([2.5, 100.0])
    assert converted.quality.tolist() == [0, 0]


def test_a_value_outside_the_nameplate_is_flagged_and_carries_no_value() -> None:
    table = ConversionTable({1: point(low=0.0, high=100.0)})
    converted = table.convert(Batch.of([1, 1, 1], 1, [-1.0, 50_000.0, 100_001.0]))
    assert converted.quality.tolist() == [Quality.OUT_OF_RANGE, Quality.GOOD, Quality.OUT_OF_RANGE]
    assert np.isnan(converted.value[[0, 2]]).all()


def test_a_number_that_is_none_is_a_bad_value() -> None:
    converted = ConversionTable({1: point()}).convert(Batch.of([1, 1], 1, [np.nan, np.inf]))
    assert converted.quality.tolist() == [Quality.BAD_VALUE, Quality.BAD_VALUE]


def test_a_bad_sample_keeps_its_reason_and_loses_its_value() -> None:
    converted = ConversionTable({1: point()}).convert(Batch.of([1], 1, [7.0], Quality.COMM_LOST))
    assert converted.quality.tolist() == [Quality.COMM_LOST]
    assert np.isnan(converted.value[0])


def test_the_sample_of_a_point_that_is_no_longer_configured_is_left_out() -> None:
    converted = ConversionTable({1: point()}).convert(Batch.of([1, 2, 99], 1, [1.0, 2.0, 3.0]))
    assert converted.series.tolist() == [1]


async def test_batches_of_a_moment_are_one_commit_in_their_order() -> None:
    disk = Disk()
    news: list[Batch] = []
    ingest = Ingest(disk, [news.append], every_s=0.01)
    ingest.use({1: point(), 2: point()})
    running = asyncio.create_task(ingest.run())
    for number in range(5):
        await ingest.accept(Batch.of([1, 2], number, [number, number]))
    await asyncio.sleep(0.1)
    running.cancel()
    assert len(disk.batches) == 1
    assert disk.batches[0].time.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len(news) == 1


async def test_the_acknowledgement_is_given_only_after_the_commit() -> None:
    disk, given = Disk(), []
    ingest = Ingest(disk, [])
    ingest.use({1: point()})
    disk.broken = True
    await ingest.accept(Batch.of([1], 1, [1.0]), lambda: given.append("ack"))
    with pytest.raises(OSError, match="disk"):
        await ingest.flush()
    assert not given
    disk.broken = False
    await ingest.flush()
    assert given == ["ack"]
    assert len(disk.batches) == 1


async def test_a_full_backlog_makes_the_field_wait_instead_of_growing() -> None:
    disk = Disk()
    ingest = Ingest(disk, [], backlog_limit=10)
    ingest.use({1: point()})
    await ingest.accept(Batch.of([1] * 11, 1, [1.0] * 11))
    waiting = asyncio.create_task(ingest.accept(Batch.of([1], 2, [1.0])))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await ingest.flush()
    await asyncio.wait_for(waiting, 1)


async def test_while_the_clock_is_suspect_good_samples_say_so() -> None:
    disk = Disk()
    ingest = Ingest(disk, [])
    ingest.use({1: point()})
    ingest.suspect_clock(True)
    await ingest.accept(Batch.of([1, 1], 1, [1.0, np.nan], [Quality.GOOD, Quality.COMM_LOST]))
    await ingest.flush()
    assert disk.batches[0].quality.tolist() == [Quality.CLOCK_SUSPECT, Quality.COMM_LOST]


async def test_what_is_only_in_memory_is_shown_but_not_acknowledged() -> None:
    disk = Disk()
    news: list[Batch] = []
    given: list[str] = []
    ingest = Ingest(disk, [news.append])
    ingest.use({1: point()})
    disk.read_only = True
    await ingest.accept(Batch.of([1], 1, [1.0]), lambda: given.append("ack"))
    await ingest.flush()
    assert len(news) == 1
    assert not given


async def test_what_was_held_in_memory_is_acknowledged_once_the_disk_takes_rows_again() -> None:
    disk, given = Disk(), []
    ingest = Ingest(disk, [])
    ingest.use({1: point()})
    disk.read_only = True
    await ingest.accept(Batch.of([1], 1, [1.0]), lambda: given.append("held"))
    await ingest.flush()
    disk.read_only = False
    await ingest.accept(Batch.empty(), lambda: given.append("no samples"))
    await ingest.flush()
    assert given == ["no samples"]
    await ingest.accept(Batch.of([1], 2, [2.0]), lambda: given.append("new"))
    await ingest.flush()
    assert given == ["no samples", "held", "new"]


async def test_a_listener_that_fails_neither_doubles_the_commit_nor_keeps_it_from_others() -> None:
    disk = Disk()
    news: list[Batch] = []
    given: list[str] = []

    def fail(_: Batch | None = None) -> None:
        raise RuntimeError("a listener's own bug")

    ingest = Ingest(disk, [fail, news.append])
    ingest.use({1: point()})
    await ingest.accept(Batch.of([1], 1, [1.0]), fail)
    await ingest.accept(Batch.of([1], 2, [2.0]), lambda: given.append("ack"))
    await ingest.flush()
    await ingest.flush()
    assert [len(batch) for batch in disk.batches] == [2]
    assert len(news) == 1
    assert given == ["ack"]


async def test_a_stop_in_the_middle_of_a_commit_commits_nothing_twice() -> None:
    disk, given = Disk(), []
    may_finish = asyncio.Event()
    ingest = Ingest(disk, [], every_s=0.0)
    ingest.use({1: point()})
    quick = disk.append

    async def slow(batch: Batch) -> int:
        seq = await quick(batch)
        await may_finish.wait()
        return seq

    disk.append = slow  # type: ignore[method-assign]
    running = asyncio.create_task(ingest.run())
    await ingest.accept(Batch.of([1], 1, [1.0]), lambda: given.append("ack"))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    may_finish.set()
    await ingest.flush()
    assert len(disk.batches) == 1
    assert given == ["ack"]
