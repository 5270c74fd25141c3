"""The journal's invariants under any order of appends, sends, compactions, retention, crashes and restarts.

The model is a dict of every sample that was acknowledged and a set of what each sink has been given. After
each step the store must agree with it; a crash is a copy of the files as they are, opened elsewhere.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from drivers.base import Batch
from gateway.records import KpiResult
from gateway.site import StoreSettings
from gateway.store.reader import Reader
from gateway.store.store import Store
from sync.outbox import SinkProgress

NOON = 1_760_000_000 * 1_000_000_000
SINK = "central"
Key = tuple[int, int]
"""Series and time."""


class StoreMachine(RuleBasedStateMachine):
    """A store beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="store-model-"))
        self.lives = 0
        self.loop = asyncio.new_event_loop()
        self.kept: dict[Key, float] = {}
        self.appended = 0
        self.kpi: dict[int, float] = {}
        self.received: dict[Key, float] = {}
        self.received_kpi: dict[int, float] = {}
        self.low_water = 0
        self.seqs: list[int] = []
        self.store = self.open(self.root / "0")
        self.store.outbox.progress(SINK)

    def open(self, folder: Path) -> Store:
        return Store.open(
            folder,
            now=lambda: NOON,
            settings=StoreSettings(folder, max_bytes=1 << 24, min_free=0),
            commit_s=0.0,
        )

    def do(self, work: Coroutine[Any, Any, int | None]) -> int | None:
        return self.loop.run_until_complete(work)

    @rule(
        series=st.integers(1, 3),
        start=st.integers(0, 50),
        values=st.lists(st.floats(-5, 5), min_size=1, max_size=6),
    )
    def append(self, series: int, start: int, values: list[float]) -> None:
        times = NOON + np.arange(start, start + len(values))
        seq = self.do(self.store.append(Batch.of([series] * len(values), times, values)))
        self.note_seq(seq)
        self.appended += len(values)
        self.kept.update({(series, int(at)): value for at, value in zip(times, values, strict=True)})

    @rule(start=st.integers(0, 3), value=st.integers(0, 9))
    def record(self, start: int, value: int) -> None:
        result = KpiResult(
            kpi="k", cadence="daily", scope="site", start=start, end=start + 1, unit="%", value=float(value)
        )
        self.note_seq(self.do(self.store.append_records([result])))
        self.kpi[start] = float(value)

    @rule(max_rows=st.integers(1, 20))
    def send(self, max_rows: int) -> None:
        """Read what comes after the low water, give it to the database, acknowledge it as settled."""
        newest = self.store.outbox.newest()
        parcel = self.store.outbox.read(self.low_water + 1, newest, max_rows)
        if parcel is None:
            assert newest <= self.low_water
            return
        assert parcel.first_seq == self.low_water + 1
        assert not parcel.skipped
        if parcel.samples is not None:
            columns = parcel.samples
            keys = zip(columns.series.tolist(), columns.time.tolist(), strict=True)
            self.received.update(zip(keys, columns.value.tolist(), strict=True))
        self.received_kpi.update({fact.time: float(fact.fields["value"] or 0.0) for fact in parcel.facts})
        self.low_water = parcel.last_seq
        self.store.outbox.save_progress(SINK, SinkProgress(self.low_water))

    @rule()
    def compact(self) -> None:
        self.do(self.store.compact())

    @rule()
    def retain(self) -> None:
        self.do(self.store.retain())

    @rule()
    def restart(self) -> None:
        self.do(self.store.close())
        self.store = self.open(self.store.path)

    @precondition(lambda self: self.lives < 5)
    @rule()
    def crash(self) -> None:
        self.lives += 1
        folder = self.root / str(self.lives)
        shutil.copytree(self.store.path, folder, ignore=shutil.ignore_patterns("*-shm", "ballast"))
        self.do(self.store.close())
        self.store = self.open(folder)

    @invariant()
    def every_acknowledged_sample_can_be_read_once(self) -> None:
        found: dict[Key, float] = {}
        with Reader(self.store.path) as reader:
            for series in (1, 2, 3):
                samples = reader.samples(series, 0, 2**62)
                assert (np.diff(samples.time) > 0).all()
                found.update({(series, int(t)): v for t, v in zip(samples.time, samples.value, strict=True)})
            assert reader.damaged == 0
            assert {r.start: r.value for r in reader.kpi_history("k", "daily", "site", 0, 100)} == self.kpi
        assert found == self.kept

    @invariant()
    def totals_and_progress_never_go_back(self) -> None:
        assert self.store.samples_committed == self.appended
        assert self.store.outbox.progress(SINK).low_water == self.low_water
        assert self.store.status().dropped == 0

    def teardown(self) -> None:
        while self.low_water < self.store.outbox.newest():
            self.send(1000)
        assert self.received == self.kept
        assert self.received_kpi == self.kpi
        assert self.store.acknowledged(SINK).samples == self.appended
        self.do(self.store.close())
        self.loop.close()
        shutil.rmtree(self.root)

    def note_seq(self, seq: int | None) -> None:
        assert seq is not None
        assert seq > (self.seqs[-1] if self.seqs else 0)
        self.seqs.append(seq)


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
