"""Composition: the one place that knows every part and puts them together.

drivers -> Field -> Ingest -> Store -+-> LiveTable -> page, alarms
                                     +-> KPI worker (its own process) -> Store
                                     +-> Senders -> clouds
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from analytics.flags import IntervalFlag
from gateway.alarms import AlarmBoard, LossWatch, conditions, undecided
from gateway.clock import Clock, SystemClock
from gateway.cloud import CloudSide
from gateway.config import Changes, ConfigError, diff, load
from gateway.devices import DeviceBoard
from gateway.field import Field
from gateway.figures import kpi_figures
from gateway.importing import Importer
from gateway.ingest import Ingest
from gateway.kpi.supervisor import QUARTER_S, SETTLE_S, KpiWorker
from gateway.latecomers import Latecomers, closed_until
from gateway.live import LiveTable
from gateway.points import HEARTBEAT, by_series, register
from gateway.quirks import Quirks
from gateway.records import Event, Severity
from gateway.selfwatch import SelfWatch
from gateway.site import Installation
from gateway.snapshot import PointView, shown_kpis
from gateway.status import PointStatus, SiteStatus
from gateway.store.reader import Reader
from gateway.store.store import Store
from gateway.supervision import Supervisor
from gateway.timewatch import TimeWatch
from gateway.web.server import WebHandle, create_app, serve
from gateway.web.sources import ReloadReport

log = logging.getLogger(__name__)

DRAIN_S = 5.0
"""How long a stopping gateway goes on sending what it just committed."""
LOOK_EVERY_S = 1.0
HEARTBEAT_S = 60.0
PUBLISH_EVERY_S = 30.0
NEEDS_RESTART = frozenset({"store", "web"})
"""What a reload cannot change under a running gateway; the report says so."""


class Gateway:
    """One gateway, from its configuration to its page. Implements `gateway.web.sources.RunningGateway`."""

    def __init__(self, installation: Installation, clock: Clock | None = None) -> None:
        self._installation = installation
        self._clock = clock or SystemClock()
        self._started_ns = self._clock.now_ns()
        self._supervisor = Supervisor(self._clock)
        self._board = DeviceBoard(self._clock.monotonic)
        self._live = LiveTable(self._clock.now_ns)
        self._view = PointView(self._live, self._board, {}, {})
        self._store = Store.open(
            installation.store.path,
            now=self._clock.now_ns,
            settings=installation.store,
            site=installation.site.id,
        )
        self._ids: dict[tuple[str, str], int] = {}
        self._worker = KpiWorker(self._store, self._clock, self._supervisor)
        self._late = Latecomers(
            self._clock,
            lambda now_ns: closed_until(now_ns, SETTLE_S, QUARTER_S),
            lambda spans: self._worker.request(dirty=spans),
        )
        self._ingest = Ingest(self._store, [self._live.update, self._late.committed])
        self._quirks = Quirks(self._store.catalogue)
        self._field = Field(
            self._clock, self._supervisor, self._board, self._ingest.accept, memory=self._quirks
        )
        self._importer = Importer(installation.store.path / "spool", self._store, int(IntervalFlag.IMPORTED))
        self._cloud = CloudSide(self._store, self._clock)
        self._time = TimeWatch(self._clock)
        self._self = SelfWatch(self._clock)
        self._alarms = AlarmBoard()
        self._losses = LossWatch()
        self._server: WebHandle | None = None
        self._scheduler = AsyncIOScheduler(timezone=installation.site.timezone)
        self._reloading = asyncio.Lock()

    # What the page sees.

    @property
    def installation(self) -> Installation:
        return self._installation

    def reader(self) -> Reader:
        return Reader(self._installation.store.path)

    def points(self, device: str | None = None) -> Sequence[PointStatus]:
        return self._view.points(device)

    async def changes(self) -> AsyncIterator[Sequence[PointStatus]]:
        async for series in self._live.changes():
            yield self._view.by_series(series.tolist())

    def status(self) -> SiteStatus:
        site = self._installation.site
        missing = self._missing_for_ready()
        return SiteStatus(
            site=site.id,
            name=site.name,
            timezone=site.timezone.key,
            time=self._clock.now_ns(),
            started=self._started_ns,
            ready=not missing,
            not_ready_because=missing,
            devices=self._view.device_statuses(),
            sinks=self._cloud.statuses(),
            store=self._store.status(),
            alarms=self._alarms.open,
            kpis=shown_kpis(self._worker.results),
            poll_late=self._field.poll_late,
            importing=self._importer.progress,
            worker=self._worker.state,
        )

    async def reload(self) -> ReloadReport:
        """Read the configuration again and apply what differs; on an error nothing changes."""
        async with self._reloading:
            try:
                new = await asyncio.to_thread(load, self._installation.folder)
            except ConfigError as error:
                return ReloadReport(applied=False, errors=tuple(str(problem) for problem in error.problems))
            changes = diff(self._installation, new)
            await self._adopt(new)
            await self._bring_up(new)
            report = reload_report(changes)
            await self._note("reload", f"configuration reloaded: {', '.join(report.changed) or 'no change'}")
            return report

    # Start and stop.

    async def start(self, *, page: bool = True) -> None:
        """Start everything: first what can be refused (the page's address), then polling, then the rest."""
        async with self._reloading:
            with self.reader() as reader:
                self._alarms = AlarmBoard(reader.open_alarms())
                self._worker.results = tuple(reader.kpis())
            await self._adopt(self._installation)
            if page:
                web = self._installation.web
                self._server = await serve(create_app(self), web.host, web.port)
            self._supervisor.start("ingest", self._ingest.run)
            await self._bring_up(self._installation)
            self._supervisor.start("look", self._look_after)
            self._supervisor.start("heartbeat", self._beat)
            self._supervisor.start("import", self._import)
            self._supervisor.start("publish", self._publish)
            await self._worker.start()
            self._schedule()
            await self._note("start", "gateway started")

    async def stop(self) -> None:
        """End in order: no new samples, the last commit, the last word to the cloud, the store."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._server is not None:
            await self._server.stop()
        await self._ingest.flush()  # while the drivers can still acknowledge it to their peers
        await self._field.close()
        await self._supervisor.stop("import")
        await self._supervisor.stop("look")
        await self._worker.stop()
        await self._supervisor.stop_all()
        await self._ingest.flush()
        await self._note("stop", "gateway stopped")
        await self._cloud.stop(DRAIN_S)
        await asyncio.to_thread(self._quirks.close)
        await self._store.close()

    async def _adopt(self, new: Installation) -> None:
        """Give every point its series, and show them."""
        self._ids = await asyncio.to_thread(register, self._store.catalogue, new)
        self._live.make_room(max(self._ids.values(), default=0))
        self._board.use(new.devices.values())
        self._installation = new
        self._view = PointView(self._live, self._board, new.devices, self._ids)
        self._ingest.use(by_series(new, self._ids))

    async def _bring_up(self, new: Installation) -> None:
        """Take links, sinks and worker to this installation."""
        await self._field.apply(new.links, new.devices, self._ids)
        await self._cloud.apply(new.sinks)
        self._worker.use(new, self._ids)

    def _schedule(self) -> None:
        """Calendar jobs, in the site's zone."""
        self._scheduler.add_job(
            self._worker.request, CronTrigger(minute="*/15", second=5), id="kpi", coalesce=True
        )
        self._scheduler.start()

    # What runs beside polling.

    async def _look_after(self) -> None:
        """Once a second: the clock, silent senders, alarms."""
        while True:
            await self._clock.sleep_until(self._clock.monotonic() + LOOK_EVERY_S)
            await self._look_at_clock()
            await self._field.watch_silence()
            self._late.hand_over()
            await self._look_for_alarms()

    async def _look_for_alarms(self) -> None:
        status, now_s = self.status(), self._clock.monotonic()
        losses = self._losses.look(status.store, now_s)
        found = conditions(status, self._view.bad_points(), losses=losses)
        changed = self._alarms.update(found, status.time, now_s, undecided(status))
        if changed:
            await self._store.append_records(changed)

    async def _look_at_clock(self) -> None:
        news = self._time.look()
        self._ingest.suspect_clock(news.suspect)
        if news.step_s:
            await self._note("clock_step", f"the clock stepped by {news.step_s:+.1f} s", news.step_s)

    async def _beat(self) -> None:
        """Once a minute: a sign of life for system_uptime, and health figures for the cloud."""
        series = self._ids[HEARTBEAT]
        while True:
            await self._store.append(self._self.heartbeat(series))
            await self._store.append_records([self._self.health(self.status())])
            await self._clock.sleep_until(self._clock.monotonic() + HEARTBEAT_S)

    async def _import(self) -> None:
        """Take history from the spool whenever some arrives."""
        while True:
            if self._importer.waiting():
                rows = await self._importer.take(self._ids)
                if rows:
                    await self._note("import", f"{rows} intervals imported", float(rows))
                    self._worker.request(history_changed=True)
            await self._clock.sleep_until(self._clock.monotonic() + LOOK_EVERY_S)

    async def _publish(self) -> None:
        """Offer the KPIs to other systems; links take from it what changed."""
        while True:
            self._field.publish(kpi_figures(self._worker.results, self._installation.site.language))
            await self._clock.sleep_until(self._clock.monotonic() + PUBLISH_EVERY_S)

    async def _note(self, kind: str, message: str, value: float | None = None) -> None:
        event = Event(
            source="gateway",
            kind=kind,
            time=self._clock.now_ns(),
            severity=Severity.INFORMATION,
            message=message,
            value=value,
        )
        await self._store.append_records([event])

    def _missing_for_ready(self) -> tuple[str, ...]:
        """What is missing until the gateway does its whole job: polling, storing, warm."""
        missing = []
        if self._store.status().mode != "disk":
            missing.append("the store cannot write to its disk")
        if not any(self._board[name].last_answer for name in self._installation.devices):
            missing.append("no device has answered yet")
        if self._worker.state != "warm":
            missing.append(f"the KPI worker is {self._worker.state}")
        return tuple(missing)


def reload_report(changes: Changes) -> ReloadReport:
    """A reload's changes as names: `device ahu-1`, `link plant`, `kpis`."""
    named = {section.rstrip("s"): delta for section, delta in changes.named().items()}
    rest = tuple(f"{name} (after a restart)" if name in NEEDS_RESTART else name for name in changes.rest)
    return ReloadReport(
        applied=True,
        added=tuple(f"{kind} {name}" for kind, delta in named.items() for name in delta.added),
        removed=tuple(f"{kind} {name}" for kind, delta in named.items() for name in delta.removed),
        changed=tuple(f"{kind} {name}" for kind, delta in named.items() for name in delta.changed) + rest,
    )
