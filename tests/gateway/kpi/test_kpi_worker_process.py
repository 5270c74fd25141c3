"""The worker process: it answers, it ends with its parent, it is started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest

from analytics.calendar import HOUR, to_ns
from drivers.base import Batch
from gateway.clock import SystemClock
from gateway.kpi.messages import PointModel, RoleModel, SiteModel
from gateway.kpi.supervisor import KpiWorker
from gateway.records import KpiResult
from gateway.site import StoreSettings
from gateway.store.catalogue import SeriesSpec
from gateway.store.reader import Reader
from gateway.store.store import Store
from gateway.supervision import Supervisor

ROOT = Path(__file__).parents[3]
NOW = to_ns(datetime(2026, 11, 22, 12, 20, tzinfo=UTC))


class FixedDay(SystemClock):
    """UTC stands at NOW; monotonic time runs."""

    def now_ns(self) -> int:
        return NOW


async def until(true: object, timeout_s: float = 30.0) -> None:
    assert callable(true)
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(0.02)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path, now=lambda: NOW, settings=StoreSettings(tmp_path))
    yield opened
    await opened.close()


def model_in(store: Store) -> SiteModel:
    """One meter polled every 10 s for three hours: 60 kW."""
    ids = store.catalogue.register(
        [
            SeriesSpec("main", "energy", "electric_energy", "kWh", "counter"),
            SeriesSpec("_site", "site.electricity.import", "electric_energy", "kWh", "counter"),
        ]
    )
    point, role = ids["main", "energy"], ids["_site", "site.electricity.import"]
    return SiteModel(
        "x", "Europe/Paris", str(store.path), None,
        (PointModel(point, "main", "energy", "counter", 30.0),),
        (RoleModel(role, "site.electricity.import", "main/energy", "counter", "kWh"),),
        None, 130.0,
    )  # fmt: skip


async def test_samples_in_the_store_become_intervals_and_kpis(store: Store) -> None:
    model = model_in(store)
    time = np.arange(NOW - 3 * HOUR, NOW, 10 * 10**9, dtype=np.int64)
    register = (time - time[0]) / HOUR * 60.0
    await store.append(Batch.of(np.full(len(time), model.points[0].series), time, register))
    supervisor = Supervisor(FixedDay())
    worker = KpiWorker(store, FixedDay(), supervisor)
    worker.use_model(model)
    await worker.start()
    try:
        await until(lambda: worker.refreshes > 0)
        assert worker.state == "warm"
        assert worker.pid is not None
        assert psutil.Process(worker.pid).nice() == 10
    finally:
        await worker.stop()
    with Reader(store.path) as reader:
        quarters = reader.intervals(model.roles[0].series, "15m", 0, NOW)
        assert quarters.delta[1:].tolist() == pytest.approx([15.0] * (len(quarters) - 1))
        assert {result.kpi for result in reader.kpis()} >= {"energy_use", "peak_demand", "automation_success"}
    peak = next(result for result in worker.results if result.kpi == "peak_demand")
    assert peak.value == pytest.approx(60.0)
    assert worker.state == "down"


async def test_late_samples_that_the_gateway_reports_change_their_interval(store: Store) -> None:
    model = model_in(store)
    meter = model.points[0].series
    time = np.arange(NOW - 3 * HOUR, NOW, 10 * 10**9, dtype=np.int64)
    register = (time - time[0]) / HOUR * 60.0
    late = (time >= NOW - 2 * HOUR) & (time < NOW - HOUR)
    await store.append(Batch.of(np.full(int((~late).sum()), meter), time[~late], register[~late]))
    worker = KpiWorker(store, FixedDay(), Supervisor(FixedDay()))
    worker.use_model(model)
    await worker.start()
    try:
        await until(lambda: worker.refreshes > 0)
        await store.append(Batch.of(np.full(int(late.sum()), meter), time[late], register[late]))
        worker.request(dirty=[(meter, int(time[late][0]), int(time[late][-1]))])
        await until(lambda: worker.refreshes > 1)
    finally:
        await worker.stop()
    with Reader(store.path) as reader:
        quarters = reader.intervals(model.roles[0].series, "15m", NOW - 2 * HOUR, NOW - HOUR)
    assert quarters.completeness.tolist() == pytest.approx([100.0] * 4)


class Nowhere:
    """A store that takes everything and keeps nothing."""

    async def put_intervals(self, blocks: Sequence[object], *, bulk: bool = False) -> int:
        return 0

    async def append_records(self, records: Sequence[KpiResult]) -> int:
        return 0


async def test_a_killed_worker_is_started_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(SystemClock(), first_s=0.01)
    worker = KpiWorker(Nowhere(), SystemClock(), supervisor)
    worker.use_model(model_in(store))
    await worker.start()
    try:
        await until(lambda: worker.refreshes > 0)
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: worker.refreshes > 1 and worker.pid not in (None, first))
        assert worker.state == "warm"
        assert "the worker ended" in caplog.text
    finally:
        await worker.stop()


def test_it_ends_with_a_parent_that_was_killed() -> None:
    parent_code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-m', 'gateway.kpi.worker'], stdin=subprocess.PIPE,"
        " stdout=subprocess.PIPE)\n"
        "p.stdout.read(4)\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", parent_code], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs([worker], timeout=10)
    assert not alive


def test_the_gateways_side_never_loads_numba() -> None:
    code = "import sys, gateway.kpi.supervisor, gateway.kpi.catalogue; sys.exit('numba' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


async def test_a_signal_to_the_whole_group_leaves_the_worker_to_the_gateway(store: Store) -> None:
    supervisor = Supervisor(FixedDay())
    worker = KpiWorker(store, FixedDay(), supervisor)
    worker.use_model(model_in(store))
    await worker.start()
    await until(lambda: worker.state == "warm")
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGTERM)
    os.kill(worker.pid, signal.SIGINT)
    await asyncio.sleep(0.3)
    assert psutil.pid_exists(worker.pid)
    assert supervisor.crashes == {}
    await worker.stop()
