"""A recorded load, replayed as a meter on a real socket, comes back as the energy and the peak it had.

The gateway's Clock and the replay step together, one poll per step of the recording: weeks of building in
seconds. What is compared is what the gateway made of it, through driver, ingest, store, intervals and KPIs.
"""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.clock import SECOND_NS, SteppedClock
from gateway.config import load
from gateway.devices import DeviceBoard
from gateway.field import Field
from gateway.ingest import Ingest
from gateway.kpi.messages import ComputedIntervals, ComputedKpis, Refresh
from gateway.kpi.model import site_model
from gateway.kpi.session import Session
from gateway.points import by_series, register
from gateway.polling import Backoff
from gateway.records import KpiResult
from gateway.site import SITE_DEVICE
from gateway.store.columns import Intervals
from gateway.store.reader import Reader
from gateway.store.store import Store
from gateway.supervision import Supervisor
from simulators.modbus import ModbusServer
from simulators.replay import Recording, load_csv

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("HEYZACK_SHARED_DATA", HERE.parent.parent.parent / "shared" / "data"))
LOADSHAPE = SHARED / "loadshape" / "tests_data_test_kw.csv"
HOURLY = HERE.parent / "analytics/data/eemeter_samples/il-electricity-cdd-hdd-hourly.csv.gz"

REFRESH_DAYS = 6

SITE = """
site: {{id: replay, timezone: {timezone}}}
devices:
  meter:
    {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, timeout: 20ms, unit_id: 1,
      template: heyzack/replay, every: {every_s}s}}
roles:
  site.electricity.import: meter/energy_import
"""


@dataclass(frozen=True)
class Replayed:
    """What the gateway made of a recording."""

    quarters: Intervals
    hours: Intervals
    kpis: Sequence[KpiResult]

    def monthly(self, kpi: str) -> list[KpiResult]:
        """One KPI's months, in order."""
        newest = {one.start: one for one in self.kpis if one.kpi == kpi and one.cadence == "monthly"}
        return [newest[start] for start in sorted(newest)]


async def replay(
    recording: Recording, timezone: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Replayed:
    """Poll the recording once per step, from its first edge to its last, and compute what it says."""
    # A poll's place in its period is spread by device name; here every poll stands on an edge of the record.
    monkeypatch.setattr("gateway.polling.phase", lambda group: 0.0)
    clock = SteppedClock(recording.start_ns)
    server = ModbusServer("127.0.0.1", 0, {1: recording.points()}, clock.now_ns)
    await server.start()
    step_s = recording.step_ns // SECOND_NS
    text = SITE.format(timezone=timezone, port=server.port, every_s=step_s)
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    try:
        return await _run(recording, folder, clock, step_s)
    finally:
        await server.stop()


async def _run(recording: Recording, folder: Path, clock: SteppedClock, step_s: int) -> Replayed:
    installation = load(folder)
    store = Store.open(
        installation.store.path, now=clock.now_ns, settings=installation.store, site=installation.site.id
    )
    ids = register(store.catalogue, installation)
    board, supervisor = DeviceBoard(), Supervisor(clock)
    board.use(installation.devices.values())
    ingest = Ingest(store, [])
    ingest.use(by_series(installation, ids))
    # No jitter: a poll in a gap must stand on its edge too.
    field = Field(clock, supervisor, board, ingest.accept, Backoff(jitter=0.0))
    await field.apply(installation.links, installation.devices, ids)
    session, kpis = Session(site_model(installation, ids)), list[KpiResult]()
    steps = len(recording.power_kw)
    for step in range(steps + 1):
        await _until_polled(ingest, 2 * (step + 1))
        if step % (REFRESH_DAYS * 86400 // step_s) == 0 or step == steps:
            await ingest.flush()
            await _refresh(session, store, clock, kpis)
        if step < steps:
            await clock.advance(step_s)
    await field.close()
    await supervisor.stop_all()
    site = ids[SITE_DEVICE, "site.electricity.import"]
    with Reader(installation.store.path) as reader:
        quarters, hours = (reader.intervals(site, name, 0, clock.now_ns()) for name in ("15m", "1h"))
    await store.close()
    return Replayed(quarters, hours, kpis)


async def _until_polled(ingest: Ingest, samples: int) -> None:
    """Let the poll of this step come home: it is on a real socket, in real time."""
    for _ in range(5000):
        if ingest.samples_in >= samples:
            return
        await asyncio.sleep(0.0005)
    raise AssertionError(f"the poll never came: {ingest.samples_in} of {samples} samples")


async def _refresh(session: Session, store: Store, clock: SteppedClock, kpis: list[KpiResult]) -> None:
    sent: list[ComputedIntervals | ComputedKpis] = []
    now = clock.now_ns()
    with Reader(store.path) as reader:
        session.refresh(
            reader, Refresh(now=now, closed_until=now // (900 * SECOND_NS) * 900 * SECOND_NS), sent.append
        )
    for message in sent:
        if isinstance(message, ComputedIntervals):
            await store.put_intervals([message.block()])
        else:
            kpis.extend(message.results)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not LOADSHAPE.exists(), reason="the recorded building is not part of this repository")
async def test_a_real_building_with_gaps_gives_its_published_energy_and_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = "America/Los_Angeles"
    recording = load_csv(LOADSHAPE, ZoneInfo(zone))
    assert np.isnan(recording.power_kw).sum() == 743
    replayed = await replay(recording, zone, tmp_path, monkeypatch)
    delta = replayed.quarters.delta
    assert np.nansum(delta) == pytest.approx(8519.4255, abs=1e-6)
    energy = [month.value for month in replayed.monthly("energy_use")]
    assert sum(value for value in energy if value is not None) == pytest.approx(8519.4255, abs=1e-4)
    peak = int(np.nanargmax(delta))
    assert 4 * delta[peak] == pytest.approx(23.073, abs=1e-9)
    at = np.datetime64("2013-08-14T16:30") + np.timedelta64(7, "h")
    assert np.datetime64(int(replayed.quarters.start[peak]), "ns") == at
    peaks = [month.value for month in replayed.monthly("peak_demand")]
    assert max(value for value in peaks if value is not None) == pytest.approx(23.073, abs=1e-6)


@pytest.mark.slow
async def test_an_hourly_series_gives_its_energy_and_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = gzip.decompress(HOURLY.read_bytes()).decode().splitlines()[: 1 + 60 * 24]
    path = tmp_path / "load_kwh.csv"
    path.write_text("\n".join(["start,load_kwh", *lines[1:]]), encoding="utf-8")
    expected = np.array([float(line.split(",")[1]) for line in lines[1:]])
    recording = load_csv(path, ZoneInfo("America/Chicago"))
    replayed = await replay(recording, "America/Chicago", tmp_path, monkeypatch)
    assert np.nansum(replayed.hours.delta) == pytest.approx(expected.sum(), rel=1e-9)
    assert np.nanmax(replayed.hours.delta) == pytest.approx(expected.max(), rel=1e-9)
    assert int(replayed.hours.start[np.nanargmax(replayed.hours.delta)]) == (
        recording.start_ns + int(expected.argmax()) * recording.step_ns
    )
