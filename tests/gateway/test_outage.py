"""The whole gateway against real servers that go away: afterwards every committed sample is there, once."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from drivers.modbus.settings import PointSettings
from gateway.app import Gateway
from gateway.config import load
from gateway.store.reader import Reader
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer
from tests.servers.fixtures import influxd, victoria_metrics
from tests.servers.influxd import Influxd
from tests.servers.process import free_port
from tests.servers.victoria_metrics import VictoriaMetrics

__all__ = ["influxd", "victoria_metrics"]
pytestmark = [pytest.mark.servers, pytest.mark.slow]

POINTS = 12
SITE = """
site: {{id: outage, timezone: UTC}}
devices:
  meter:
    driver: modbus-tcp
    host: 127.0.0.1
    port: {port}
    unit_id: 1
    every: 200ms
    points:
{points}
store: {{path: state, min_free: 1MiB}}
sync:
{sinks}
web: {{listen: "127.0.0.1:{page}"}}
"""


def write_site(folder: Path, modbus: int, sinks: str) -> None:
    points = "".join(
        f"      p{n}: {{register: {4 * n}, type: f64, unit: kW, quantity: electric_power}}\n"
        for n in range(POINTS)
    )
    text = SITE.format(port=modbus, points=points, sinks=sinks, page=free_port())
    (folder / "site.yaml").write_text(text, encoding="utf-8")


def rising(number: int) -> ServedPoint:
    settings = PointSettings.model_validate({"register": 4 * number, "type": "f64"})
    return ServedPoint(f"p{number}", settings, lambda at: at / 1e9 % 86400 + number)


@asynccontextmanager
async def meter() -> AsyncIterator[ModbusServer]:
    server = ModbusServer("127.0.0.1", 0, {1: [rising(n) for n in range(POINTS)]}, time.time_ns)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def committed(folder: Path) -> dict[tuple[str, int], float]:
    """Every sample in the store of the meter's points: (point, time ns) -> value."""
    found = {}
    with Reader(folder / "state") as reader:
        for series in reader.series():
            if series.device == "meter":
                samples = reader.samples(series.series, 0, 1 << 62)
                found.update(
                    {
                        (series.point, int(t)): float(v)
                        for t, v in zip(samples.time, samples.value, strict=True)
                    }
                )
    return {key: value for key, value in found.items() if not math.isnan(value)}


async def wait_for(condition: object, within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(condition):  # type: ignore[arg-type]
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        await asyncio.sleep(0.2)


def sent(gateway: Gateway) -> bool:
    return all(sink.connected and sink.backlog == 0 for sink in gateway.status().sinks)


async def test_both_servers_go_away_and_come_back_and_have_every_sample_once(
    tmp_path: Path, influxd: Influxd, victoria_metrics: VictoriaMetrics
) -> None:
    async with meter() as server:
        sinks = (
            f'  vm: {{url: "{victoria_metrics.url}", org: o, bucket: b, token: t, timeout: 3s}}\n'
            f'  influx: {{url: "{influxd.url}", api: v1, database: {influxd.database}, timeout: 3s}}'
        )
        write_site(tmp_path, server.port, sinks)
        gateway = Gateway(load(tmp_path))
        await gateway.start(page=False)
        try:
            await asyncio.sleep(4)
            # No warning for either: the acknowledged of the last seconds may not be on their disks.
            await asyncio.to_thread(victoria_metrics.kill)
            await asyncio.to_thread(influxd.stop)
            before = gateway.status().store.samples_committed
            await asyncio.sleep(5)
            during = gateway.status().store.samples_committed - before
            assert during >= 0.9 * POINTS * 5 / 0.2, "polling goes on while the cloud is away"
            assert not any(sink.connected for sink in gateway.status().sinks)
            await asyncio.to_thread(victoria_metrics.start)
            await asyncio.to_thread(influxd.start)
            await asyncio.sleep(2)
        finally:
            await gateway.stop()
    await _drain(tmp_path)
    truth = committed(tmp_path)
    assert len(truth) > POINTS * 40
    assert influxd.values("electric_power") == truth
    stored = [row for row in victoria_metrics.values("electric_power") if row[0] != "heartbeat"]
    in_ms = {(point, at // 1_000_000): value for (point, at), value in truth.items()}
    assert len(stored) == len(truth), "each sample once"
    assert {(point, at): value for point, at, value in stored} == pytest.approx(in_ms)


async def _drain(folder: Path) -> None:
    """Start again without equipment, until all is sent."""
    gateway = Gateway(load(folder))
    await gateway.start(page=False)
    try:
        await wait_for(lambda: sent(gateway), 60, "draining")
    finally:
        await gateway.stop()


async def test_kill_9_of_the_gateway_loses_nothing_committed_and_doubles_nothing(
    tmp_path: Path, influxd: Influxd
) -> None:
    async with meter() as server:
        write_site(
            tmp_path,
            server.port,
            f'  influx: {{url: "{influxd.url}", api: v1, database: {influxd.database}}}',
        )
        for _ in range(3):
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "--config", str(tmp_path), "--log-level", "WARNING"],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            assert line.startswith("ready ")
            await asyncio.sleep(2 + np.random.default_rng(process.pid).uniform(0, 0.5))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
    await _drain(tmp_path)
    truth = committed(tmp_path)
    assert len(truth) > POINTS * 20
    assert influxd.values("electric_power") == truth
