"""faults.md 26: rollover, reset, meter swap, "not available" and a spike in the register give no negative and
no spike kWh, in intervals and in KPIs.

The meter is on a real socket; its clock and the gateway's step together, half a day in seconds.
Seen failing without the handling, in analytics/counters.py: rollover with `wrapped <= ...` made False (two
quarter-hours are missing); reset with `advance < 0.0 or` removed (negative kWh); meter swap and spike with
`or advance > ...` removed (millions of kWh); "not available" with `sentinel` in drivers/modbus/codec.py
knowing none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

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
from simulators.faults import FaultBoard, FaultKind, SimulatedFault
from simulators.faulty_modbus import FaultyModbus
from tests.faults.harness import register as served
from tests.faults.harness import write

BEGIN = 1_790_812_800 * SECOND_NS  # 2026-10-01T04:00Z
KW, STEP_S, HOURS = 60.0, 60, 12
SITE = """
devices:
  meter:
    driver: modbus-tcp
    host: 127.0.0.1
    port: {port}
    every: 60s
    timeout: 500ms
    points:
      energy: {{register: 0, type: u32, unit: kWh, quantity: electric_energy, kind: counter, modulus: 2^32,
               max_rate: 200, not_available: auto}}
roles: {{site.electricity.import: meter/energy}}
"""


def reading(at_ns: int) -> float:
    """60 kW since long ago."""
    return 100_000.0 + (at_ns - BEGIN) / 3.6e12 * KW


class Half:
    """Half a day of polls, with something going wrong at some of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SteppedClock(BEGIN)
        self.board = FaultBoard(self.clock.now_ns)

    async def run(self, at_step: dict[int, SimulatedFault | None]) -> tuple[Intervals, list[KpiResult]]:
        """at_step: the fault that begins with that minute; None ends what is on."""
        endpoint = FaultyModbus(
            self.board, "127.0.0.1", 0, {1: ("meter", [served("energy", 0, reading, "u32", "kWh")])},
            self.clock.now_ns,
        )  # fmt: skip
        await endpoint.start()
        installation = load(write(self.folder, SITE.format(port=endpoint.port)))
        store = Store.open(
            installation.store.path, now=self.clock.now_ns, settings=installation.store, site="faults"
        )
        ids = register(store.catalogue, installation)
        board, supervisor = DeviceBoard(), Supervisor(self.clock)
        board.use(installation.devices.values())
        ingest = Ingest(store, [])
        ingest.use(by_series(installation, ids))
        field = Field(self.clock, supervisor, board, ingest.accept, Backoff(jitter=0.0))
        await field.apply(installation.links, installation.devices, ids)
        for step in range(HOURS * 3600 // STEP_S + 1):
            if step in at_step:
                await self._change(at_step[step])
            await _until(lambda step=step: ingest.samples_in > step)  # type: ignore[misc]
            await self.clock.advance(STEP_S)
        await ingest.flush()
        kpis = await _refresh(Session(site_model(installation, ids)), store, self.clock.now_ns())
        await field.close()
        await supervisor.stop_all()
        with Reader(store.path) as reader:
            quarters = reader.intervals(ids[SITE_DEVICE, "site.electricity.import"], "15m", 0, 1 << 62)
        await store.close()
        await self.board.close()
        await endpoint.stop()
        return quarters, kpis

    async def _change(self, fault: SimulatedFault | None) -> None:
        await self.board.clear()
        if fault is not None:
            await self.board.set("meter", fault)


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(8000):
        if condition():
            return
        await asyncio.sleep(0.0005)
    raise AssertionError("the poll never came")


async def _refresh(session: Session, store: Store, now: int) -> list[KpiResult]:
    sent: list[ComputedIntervals | ComputedKpis] = []
    with Reader(store.path) as reader:
        closed = now // (900 * SECOND_NS) * 900 * SECOND_NS
        session.refresh(reader, Refresh(now=now, closed_until=closed), sent.append)
    kpis: list[KpiResult] = []
    for message in sent:
        if isinstance(message, ComputedIntervals):
            await store.put_intervals([message.block()])
        else:
            kpis.extend(message.results)
    return kpis


CASES = {
    "rollover": {200: SimulatedFault(FaultKind.COUNTER_ROLLOVER, seconds=1800.0, value=2.0**32)},
    "reset": {200: SimulatedFault(FaultKind.COUNTER_RESET)},
    "meter swap": {200: SimulatedFault(FaultKind.COUNTER_RESET, value=3_000_000.0)},
    "not available": {200: SimulatedFault(FaultKind.NOT_AVAILABLE), 230: None},
    "spike": {200: SimulatedFault(FaultKind.SPIKE), 201: None},
    "spike downwards": {200: SimulatedFault(FaultKind.SPIKE, value=0.5), 201: None},
}


MISSING = {"not available": 0}
"""Quarter-hours that may lack a value; the advance across a gap is known as a whole."""


@pytest.mark.parametrize("case", CASES)
async def test_energy_is_never_negative_and_never_a_spike(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.polling.phase", lambda group: 0.0)
    quarters, kpis = await Half(tmp_path).run(CASES[case])
    known = quarters.delta[np.isfinite(quarters.delta)]
    true = KW / 4
    assert HOURS * 4 - len(known) <= MISSING.get(case, 1), "one quarter-hour at most, that of the jump"
    assert known.min() >= 0.0
    assert known.max() <= 1.15 * true
    assert np.median(known) == pytest.approx(true, abs=1.0)  # the register shows whole kWh
    use = [one.value for one in kpis if one.kpi == "energy_use" and one.value is not None]
    assert use
    assert all(0.0 <= value <= 1.02 * KW * HOURS for value in use)
    peaks = [one.value for one in kpis if one.kpi == "peak_demand" and one.value is not None]
    assert peaks
    assert max(peaks) <= 1.15 * KW
