"""The field side: links, their drivers, their devices, and the lanes that poll them.

`apply` takes the configuration to what runs, and only by what differs: a device that did not change keeps
its connection, its place in time and what was learned of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby

import numpy as np

from drivers.base import (
    Batch,
    Delivery,
    Device,
    Driver,
    Fault,
    FaultCode,
    Figure,
    LinkError,
    Memory,
    NoMemory,
    Point,
    PollGroup,
    PollResult,
    Publisher,
    Quality,
)
from drivers.registry import KINDS
from gateway.clock import Clock
from gateway.devices import DeviceBoard
from gateway.polling import Backoff, Lane, LaneCounts
from gateway.site import DeviceSpec, LinkSpec, PointSpec
from gateway.supervision import Supervisor

log = logging.getLogger(__name__)

Accept = Callable[[Batch, Callable[[], None] | None], Awaitable[None]]
SeriesOf = Mapping[tuple[str, str], int]
SILENCE_PERIODS = 3.0
"""A sender is silent when nothing came for this many of its periods."""
OPEN_AGAIN_S = 30.0
"""A link that cannot work as configured is tried again this often: cables and certificates get fixed."""


class Field:
    """All links of the installation, as they run."""

    def __init__(
        self,
        clock: Clock,
        supervisor: Supervisor,
        board: DeviceBoard,
        accept: Accept,
        backoff: Backoff | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._memory = memory or NoMemory()
        self._clock = clock
        self._supervisor = supervisor
        self._board = board
        self._accept = accept
        self._links: dict[str, _RunningLink] = {}
        self._ended = LaneCounts()

    @property
    def poll_late(self) -> int:
        """Polls that started late since the gateway started."""
        return self._ended.late + sum(
            lane.counts.late for link in self._links.values() for lane in link.lanes.values()
        )

    async def apply(
        self, links: Mapping[str, LinkSpec], devices: Mapping[str, DeviceSpec], ids: SeriesOf
    ) -> None:
        """Bring what runs to this configuration."""
        wanted = {name: link for name, link in links.items() if any(d.link == name for d in devices.values())}
        for name, running in list(self._links.items()):
            if wanted.get(name) != running.spec:
                await self._end(name)
        for name, spec in wanted.items():
            running = self._links.get(name) or self._begin(spec)
            members = [driver_device(device, ids) for device in devices.values() if device.link == name]
            await running.assign(members)

    def publish(self, figures: Sequence[Figure]) -> None:
        """Offer the gateway's figures on every link that is configured for it."""
        for link in self._links.values():
            link.publish(figures)

    async def watch_silence(self) -> None:
        """Look for senders that are overdue; to be called every second or so."""
        for link in self._links.values():
            await link.watch_silence()

    async def close(self) -> None:
        """Stop polling and close every link."""
        await asyncio.gather(*(self._end(name) for name in list(self._links)))

    def _begin(self, spec: LinkSpec) -> _RunningLink:
        running = _RunningLink(
            spec, self._clock, self._supervisor, self._board, self._accept, self._backoff, self._memory
        )
        self._links[spec.name] = running
        running.start()
        return running

    async def _end(self, name: str) -> None:
        running = self._links.pop(name)
        for lane in running.lanes.values():
            self._ended.late += lane.counts.late
        await running.close()


class _RunningLink:
    """One link: its driver, opened and kept open, and its lanes."""

    def __init__(
        self,
        spec: LinkSpec,
        clock: Clock,
        supervisor: Supervisor,
        board: DeviceBoard,
        accept: Accept,
        backoff: Backoff,
        memory: Memory,
    ) -> None:
        self.spec = spec
        self._backoff = backoff
        self.lanes: dict[str, Lane] = {}
        self._kind = KINDS[spec.driver]
        self._clock = clock
        self._supervisor = supervisor
        self._board = board
        self._accept = accept
        self._driver: Driver = self._kind.create(spec.name, spec.settings, clock.now_ns, memory)
        self._opened = asyncio.Event()
        self._devices: list[Device] = []
        self._assigning = asyncio.Lock()

    def start(self) -> None:
        self._supervisor.start(f"link {self.spec.name}", self._open)

    async def assign(self, devices: list[Device]) -> None:
        self._devices = devices
        if self._opened.is_set():
            await self._put_to_work()

    async def close(self) -> None:
        await self._supervisor.stop(f"link {self.spec.name}")
        for lane in list(self.lanes):
            await self._supervisor.stop(f"lane {lane}")
        self.lanes.clear()
        if self._opened.is_set():
            await self._driver.close()

    async def _open(self) -> None:
        """Open the link, trying again while it cannot work as configured."""
        while not self._opened.is_set():
            try:
                await self._driver.open(self._deliver)
            except LinkError as error:
                self._say_broken(str(error))
                await self._clock.sleep_until(self._clock.monotonic() + OPEN_AGAIN_S)
                continue
            self._opened.set()
        await self._put_to_work()

    async def _put_to_work(self) -> None:
        """Give the driver its devices and their lanes; opening and a reload may both come here."""
        async with self._assigning:
            await self._driver.assign(self._devices)
            await self._arrange_lanes()

    def _say_broken(self, why: str) -> None:
        log.error("link %s: %s", self.spec.name, why)
        for device in self._devices:
            self._board.lost(device.name, self._clock.now_ns(), Fault(FaultCode.REFUSED, why))

    async def _arrange_lanes(self) -> None:
        """One lane for a shared medium, else one for each device; lanes that stay keep running."""
        wanted: dict[str, list[PollGroup]] = {}
        if self._kind.polled:
            for device in self._devices:
                lane = self.spec.name if self._kind.shared_medium else f"{self.spec.name}/{device.name}"
                wanted.setdefault(lane, []).extend(device.groups)
        for gone in self.lanes.keys() - wanted.keys():
            await self._supervisor.stop(f"lane {gone}")
            del self.lanes[gone]
        for name, groups in wanted.items():
            if name in self.lanes:
                self.lanes[name].assign(groups)
            else:
                self._start_lane(name, groups)

    def _start_lane(self, name: str, groups: list[PollGroup]) -> None:
        lane = self.lanes[name] = Lane(self._driver, self._clock, self._report, self._backoff)
        lane.assign(groups)
        self._supervisor.start(f"lane {name}", lane.run)

    def publish(self, figures: Sequence[Figure]) -> None:
        if self._opened.is_set() and isinstance(self._driver, Publisher):
            self._driver.publish(figures)

    async def watch_silence(self) -> None:
        """Mark senders that are overdue, and say so in the data: their points become stale."""
        if self._kind.polled:
            return
        allowed = {
            device.name: SILENCE_PERIODS * max(g.every_s for g in device.groups) for device in self._devices
        }
        for device in self._board.silent(allowed, self._clock.now_ns()):
            await self._mark(device, Quality.STALE)

    async def _mark(self, name: str, quality: Quality, but: PollGroup | None = None) -> None:
        """Give every point of a lost device this quality, so that store and page agree that it is gone."""
        series = [
            point.series
            for device in self._devices
            if device.name == name
            for group in device.groups
            if group is not but
            for point in group.points
        ]
        await self._accept(Batch.of(series, self._clock.now_ns(), np.nan, int(quality)), None)

    async def _report(self, group: PollGroup, result: PollResult) -> None:
        now = self._clock.now_ns()
        if result.fault is None:
            self._board.answered(group.device, now, result.latency_s)
        else:
            if self._board.is_online(group.device):
                await self._mark(group.device, Quality.COMM_LOST, but=group)
            self._board.lost(group.device, now, result.fault)
        self._board.points(group.device, (point.series for point in group.points), result.point_faults)
        await self._accept(result.batch, None)

    async def _deliver(self, delivery: Delivery) -> None:
        if delivery.fault is None:
            self._board.answered(delivery.device, self._clock.now_ns(), None)
        else:
            self._board.lost(delivery.device, self._clock.now_ns(), delivery.fault)
        self._board.points(delivery.device, delivery.batch.series.tolist(), delivery.point_faults)
        await self._accept(delivery.batch, delivery.committed)


def driver_device(device: DeviceSpec, ids: SeriesOf) -> Device:
    """The driver's view of a configured device: points with series ids, grouped by cadence."""
    ordered = sorted(device.points, key=lambda point: point.every_s)
    groups = tuple(
        PollGroup(device.name, every_s, tuple(_driver_point(point, ids) for point in members))
        for every_s, members in groupby(ordered, key=lambda point: point.every_s)
    )
    return Device(device.name, device.settings, groups)


def _driver_point(point: PointSpec, ids: SeriesOf) -> Point:
    return Point(
        series=ids[point.key],
        device=point.device,
        name=point.name,
        source=point.source,
        quantity=point.quantity,
        unit=point.unit,
        source_unit=point.source_unit,
        kind=point.kind,
        cov=point.cov,
    )
