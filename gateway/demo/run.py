"""Runs the demo: simulators, then the gateway, then the past; a live summary; an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import configs
from gateway.clock import SECOND_NS
from gateway.demo.observe import Meter, fetch_json, fetch_status
from gateway.demo.plan import DemoPlan, make_plan
from gateway.demo.processes import Child, ChildError, tail
from gateway.importing import PastIntervals, write_spool
from gateway.records import KpiResult
from gateway.site import StoreSettings
from gateway.status import SiteStatus
from gateway.store.store import Store
from gateway.web.kpi_views import choose

QUARTER_NS = 900 * SECOND_NS
SITE_ZONE = ZoneInfo("Europe/Paris")
CONFIG = Path(configs.__file__).parent / "demo"
LINE_S = 10.0
FIRST_LINES_S = 1.0
"""How often the summary is printed; more often at first, while the past is imported."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """for_s: None runs until Ctrl-C."""

    state: Path
    page_port: int | None
    for_s: float | None


class Demo:
    """One run of the demo."""

    def __init__(self, options: DemoOptions, say: Say) -> None:
        self._options = options
        self._say = say
        self._stop = asyncio.Event()
        self.plan: DemoPlan = make_plan(options.state, datetime.now(SITE_ZONE).date(), options.page_port)
        self._simulators = Child(
            "simulators", self._simulator_arguments(), {}, self.plan.state / "simulators.log"
        )
        self._gateway = Child(
            "gateway",
            ["-m", "gateway", "run", "--config", str(CONFIG), "--end-with-stdin"],
            self.plan.environment(),
            self.plan.state / "gateway.log",
        )
        self._meter: Meter | None = None
        self._last: SiteStatus | None = None

    async def run(self) -> dict[str, Any]:
        """Run until the time is over or somebody stops it; the figures of the design's JSON object."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        try:
            await self._start()
            past = asyncio.create_task(asyncio.to_thread(self._spool_past))
            try:
                await self._watch()
            finally:
                await past
            return await self._finish()
        finally:
            await self._gateway.stop()
            await self._simulators.stop()

    async def _start(self) -> None:
        self._say(f"starting a simulated building (state in {self.plan.state})")
        await self._simulators.start()
        await self._simulators.first_line(30)
        await self._start_gateway()
        self._say(f"\n  the page:      {self.plan.page}")
        self._say(f"  the receiver:  {self.plan.cloud}/stats")
        self._say(
            f"  break things:  heyzack simulate fault --control {self.plan.control} main-meter drop --for 30s"
        )
        self._say("  Ctrl-C ends everything\n")

    async def _start_gateway(self) -> None:
        await self._gateway.start()
        await self._gateway.first_line(30)
        self._meter = Meter(self._gateway.pid)

    def _simulator_arguments(self) -> list[str]:
        return [
            *(
                "-m",
                "simulators",
                "--seed",
                str(self.plan.seed),
                "--retrofit",
                self.plan.retrofit.isoformat(),
            ),
            *("--ports", json.dumps(dict(self.plan.ports)), "--state", str(self.plan.cloud_folder)),
        ]

    def _spool_past(self) -> None:
        """Hand the building's past to the gateway: all of it at first, later what a pause left out."""
        from simulators.building import Building  # only the first seconds of a demo need it
        from simulators.past import past

        retrofit = datetime.combine(self.plan.retrofit, datetime.min.time(), SITE_ZONE)
        building = Building(self.plan.seed, int(retrofit.timestamp()) * SECOND_NS, SITE_ZONE.key)
        start, end = self._missing_past()
        if end > start:
            blocks = (
                PastIntervals(device, point, "15m", columns)
                for device, point, columns in past(building, start, end)
            )
            write_spool(self.plan.store / "spool", f"past-{start // SECOND_NS}", blocks)

    def _missing_past(self) -> tuple[int, int]:
        now = time.time_ns() // QUARTER_NS * QUARTER_NS
        first = datetime.combine(self.plan.baseline_from, datetime.min.time(), SITE_ZONE)
        marker = self.plan.state / "last-alive"
        start = int(first.timestamp()) * SECOND_NS
        if not self.plan.first_start and marker.exists():
            start = int(marker.read_text(encoding="utf-8")) // QUARTER_NS * QUARTER_NS
        return start, now

    async def _watch(self) -> None:
        """Look after the children and say how it goes, until the end."""
        started = time.monotonic()
        next_line = 0.0
        while not self._stop.is_set() and not self._is_over(started):
            speak = time.monotonic() - started >= next_line
            await self._look(speak)
            if speak:
                next_line = time.monotonic() - started + (LINE_S if self._shows_savings() else FIRST_LINES_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)

    def _shows_savings(self) -> bool:
        """Whether the past is in: until then there is something to watch."""
        kpis = self._last.kpis if self._last else ()
        return any(kpi.kpi == "energy_savings" and kpi.value is not None for kpi in kpis)

    def _is_over(self, started: float) -> bool:
        return self._options.for_s is not None and time.monotonic() - started >= self._options.for_s

    async def _look(self, speak: bool) -> None:
        if not self._simulators.running:
            raise ChildError(
                f"the simulators ended; see {self.plan.state / 'simulators.log'}\n"
                f"{tail(self.plan.state / 'simulators.log')}"
            )
        if not self._gateway.running:
            self._say("the gateway ended; starting it again")
            await self._start_gateway()
        if self._meter is not None:
            self._meter.sample(time.monotonic())
        if speak and (status := await fetch_status(self.plan.page)):
            self._last = status
            if not status.importing:
                (self.plan.state / "last-alive").write_text(str(status.time), encoding="utf-8")
            self._say(summary_line(status))

    async def _finish(self) -> dict[str, Any]:
        status = await fetch_status(self.plan.page) or self._last
        if status is None:
            raise ChildError(
                f"the gateway gave no status; see {self.plan.state / 'gateway.log'}\n"
                f"{tail(self.plan.state / 'gateway.log')}"
            )
        meter = self._meter
        figures: dict[str, Any] = {
            "devices_total": len(status.devices),
            "devices_online": sum(device.online for device in status.devices),
            "points_total": sum(device.points for device in status.devices),
            "points_good": sum(device.points_good for device in status.devices),
        }
        measured = {
            "poll_late": status.poll_late,
            "cpu_percent": meter and meter.cpu_percent,
            "rss_mb": meter and meter.rss_mb,
            "worker_rss_mb": meter and meter.worker_rss_mb,
            "kpis": {kpi.kpi: kpi_figures(kpi) for kpi in choose(status.kpis)},
        }
        self._say("stopping")
        await self._gateway.stop()  # polling ends, the last commit is made and sent
        return figures | await self._counts() | measured

    async def _counts(self) -> dict[str, int]:
        store = Store.open(self.plan.store, now=time.time_ns, settings=StoreSettings(self.plan.store))
        try:
            committed, acknowledged = store.samples_committed, store.acknowledged("central").samples
        finally:
            await store.close()
        received = await fetch_json(f"{self.plan.cloud}/stats") or {}
        return {
            "samples_committed": committed,
            "samples_acknowledged": acknowledged,
            "samples_received": received.get("samples", 0),
            "intervals_received": received.get("intervals", 0),
        }


def kpi_figures(kpi: KpiResult) -> dict[str, Any]:
    """One KPI of the demo's JSON object."""
    names = ("value", "lower", "upper", "unit", "target", "status", "evidence", "completeness")
    return {name: getattr(kpi, name) for name in names}


def summary_line(status: SiteStatus) -> str:
    """The state in one line for the terminal."""
    online = sum(device.online for device in status.devices)
    parts = [
        datetime.fromtimestamp(status.time / SECOND_NS, UTC).astimezone().strftime("%H:%M:%S"),
        f"{online}/{len(status.devices)} devices answer",
        f"{status.store.samples_committed:,} samples",
        f"{sum(sink.backlog for sink in status.sinks):,} to send",
        f"{len(status.alarms)} alarms",
    ]
    if status.importing:
        done = 100 * status.importing.done / max(status.importing.total, 1)
        parts.append(f"importing the past {bar(done)} {done:.0f} %")
    parts += [
        f"{kpi.kpi} {kpi.value:.3g} {kpi.unit}" for kpi in choose(status.kpis)[:3] if kpi.value is not None
    ]
    return "  ".join(parts)


def bar(percent: float, width: int = 20) -> str:
    """A progress bar in characters."""
    filled = round(width * percent / 100)
    return "#" * filled + "." * (width - filled)


def run_demo(options: DemoOptions) -> dict[str, Any]:
    """Run the demo in an event loop of its own; progress goes to stderr."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the demo's terminal

    async def main() -> dict[str, Any]:
        return await Demo(options, say).run()

    return asyncio.run(main())
