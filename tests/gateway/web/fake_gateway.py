"""A running gateway that is not: the demo building's devices, KPIs in several states, a store of sine waves.

`RunningGateway` as the page sees it. Tests change its public fields to bring about a state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from gateway.records import Alarm, KpiResult, Severity
from gateway.site import Installation, KpiSettings, Site, StoreSettings, WebSettings
from gateway.status import (
    DeviceStatus,
    ImportStatus,
    PointStatus,
    SinkStatus,
    SiteStatus,
    StoreStatus,
)
from gateway.store.columns import RESOLUTIONS, Intervals
from gateway.web.sources import ReloadReport
from tests.gateway.web.fake_building import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    ROLES,
    S,
    device_lost,
    make_devices,
    make_kpis,
    make_points,
    make_store,
)

__all__ = ["DAY", "HOUR", "MINUTE", "NOW", "FakeGateway", "S", "away_sink", "device_lost", "troubled"]


@dataclass
class FakeReader:
    """A store of smooth days. `fails` makes every read raise, as a damaged file would."""

    kpis: Sequence[KpiResult]
    stored_alarms: Sequence[Alarm]
    fails: bool = False
    closed: bool = False

    def samples(self, series: int, start_ns: int, end_ns: int) -> SimpleNamespace:
        self._check()
        time = np.arange(max(start_ns, NOW - 20 * HOUR), end_ns, 60 * S, dtype=np.int64)
        time = time[(time < NOW - 9 * HOUR) | (time > NOW - 8 * HOUR)]
        value = 21.0 + 3 * np.sin(time / DAY * 2 * np.pi) + 0.2 * np.sin(time / MINUTE) + series % 7
        quality = np.zeros(len(time), np.uint8)
        quality[50:60], value[50:60] = 32, np.nan
        return SimpleNamespace(time=time, value=value, quality=quality)

    def intervals(self, series: int, resolution: str, start_ns: int, end_ns: int) -> Intervals:
        self._check()
        step = RESOLUTIONS[resolution] * S
        first = -(-start_ns // step) * step
        start = np.arange(first, min(end_ns, NOW - step), step, dtype=np.int64)
        mean = 21.0 + 3 * np.sin(start / DAY * 2 * np.pi) + series % 7
        completeness = np.full(len(start), 100.0)
        completeness[: len(start) // 5] = 93.0
        return Intervals(
            start=start,
            mean=mean,
            min=mean - 0.4,
            max=mean + 0.5,
            delta=10.0 + 6 * np.sin(start / DAY * 2 * np.pi),
            count=np.full(len(start), 90.0),
            completeness=completeness,
            flags=np.zeros(len(start), np.uint16),
        )

    def kpi_history(self, kpi: str, cadence: str, scope: str, start: int, end: int) -> list[KpiResult]:
        self._check()
        newest = next((one for one in self.kpis if (one.kpi, one.cadence) == (kpi, cadence)), None)
        if newest is None or newest.value is None:
            return []
        length = newest.end - newest.start
        found = []
        for back in range(11, 0, -1):
            value = newest.value * (1 - 0.03 * back + 0.06 * ((back * 7) % 5 - 2) / 2)
            spread = (newest.upper or value) - newest.value
            banded = newest.lower is not None
            found.append(
                msgspec.structs.replace(
                    newest,
                    start=newest.start - back * length,
                    end=newest.end - back * length,
                    value=value,
                    lower=value - spread if banded else None,
                    upper=value + spread if banded else None,
                    partial=False,
                )
            )
        return [one for one in found if start <= one.start < end]

    def series(self) -> list[SimpleNamespace]:
        self._check()
        return [SimpleNamespace(series=100 + i, device="_site", point=role) for i, role in enumerate(ROLES)]

    def alarms(self, start: int, end: int) -> list[Alarm]:
        self._check()
        return [alarm for alarm in self.stored_alarms if start <= alarm.raised < end]

    def close(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.fails:
            raise OSError("database disk image is malformed")


@dataclass
class FakeGateway:
    """The fake. Change any field, then look at the page."""

    devices: list[DeviceStatus] = field(default_factory=make_devices)
    all_points: list[PointStatus] = field(default_factory=make_points)
    kpis: list[KpiResult] = field(default_factory=make_kpis)
    alarms: list[Alarm] = field(default_factory=list)
    stored_alarms: list[Alarm] = field(default_factory=list)
    sinks: list[SinkStatus] = field(default_factory=list)
    store: StoreStatus = field(default_factory=make_store)
    ready: bool = True
    not_ready_because: tuple[str, ...] = ()
    importing: ImportStatus | None = None
    worker: str = "warm"
    language: str = "en"
    unreadable: bool = False
    now: int = NOW
    tick_s: float = 1.0
    reload_report: ReloadReport = field(
        default_factory=lambda: ReloadReport(applied=True, changed=("device ahu-1",))
    )
    reloads: int = 0
    readers: list[FakeReader] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.sinks:
            self.sinks = [connected_sink()]

    @property
    def installation(self) -> Installation:
        site = Site("paris-hq", "Paris HQ", ZoneInfo("Europe/Paris"), 5600.0, language=self.language)
        nothing: dict[str, Any] = {}
        return Installation(
            folder=Path(),
            site=site,
            links=nothing,
            devices=nothing,
            roles=nothing,
            zones=nothing,
            kpis=KpiSettings(),
            store=StoreSettings(Path("state")),
            sinks=nothing,
            web=WebSettings(),
        )

    def status(self) -> SiteStatus:
        return SiteStatus(
            site="paris-hq",
            name="Paris HQ",
            timezone="Europe/Paris",
            time=self.now,
            started=NOW - 3 * DAY,
            ready=self.ready,
            not_ready_because=self.not_ready_because,
            devices=tuple(self.devices),
            sinks=tuple(self.sinks),
            store=self.store,
            alarms=tuple(self.alarms),
            kpis=tuple(self.kpis),
            importing=self.importing,
            worker=self.worker,
        )

    def points(self, device: str | None = None) -> Sequence[PointStatus]:
        return [point for point in self.all_points if device in (None, point.device)]

    def reader(self) -> Any:
        reader = FakeReader(self.kpis, self.stored_alarms, self.unreadable)
        self.readers.append(reader)
        return reader

    async def changes(self) -> AsyncIterator[Sequence[PointStatus]]:
        """Every tick a second passes and every gauge of an online device wanders a little."""
        rng = np.random.default_rng(1)
        while True:
            await asyncio.sleep(self.tick_s)
            self.now += S
            lost = {device.device for device in self.devices if not device.online}
            self.all_points = [
                self._moved(point, float(rng.normal(0, 0.004))) if point.device not in lost else point
                for point in self.all_points
            ]
            yield [point for point in self.all_points if point.device not in lost]

    def _moved(self, point: PointStatus, share: float) -> PointStatus:
        value = point.value
        if value is not None and point.kind == "gauge" and point.unit != "1":
            value *= 1 + share
        elif value is not None and point.kind == "counter":
            value += 0.1
        return msgspec.structs.replace(point, value=value, time=self.now)

    async def reload(self) -> ReloadReport:
        self.reloads += 1
        return self.reload_report

    def lose(self, device: str, fault: str = "silent", detail: str = "", ago: int = 25 * MINUTE) -> None:
        """A device stops answering."""
        self.devices = [
            msgspec.structs.replace(
                one,
                online=False,
                fault=fault,
                fault_detail=detail,
                since=NOW - ago,
                last_answer=NOW - ago - MINUTE,
                points_good=0,
                every_s=300.0 if fault == "silent" else 10.0,
                latency_ms=None,
            )
            if one.device == device
            else one
            for one in self.devices
        ]
        self.all_points = [
            msgspec.structs.replace(one, value=None, quality=48, time=NOW - ago)
            if one.device == device
            else one
            for one in self.all_points
        ]


def connected_sink() -> SinkStatus:
    return SinkStatus(
        sink="central",
        connected=True,
        since=NOW - 2 * DAY,
        backlog=212,
        acknowledged=18_401_901,
        dead_letters=0,
        oldest_unsent=NOW - S,
        last_success=NOW - S,
    )


def away_sink() -> SinkStatus:
    """A sink not reached since 02:10 local time."""
    return SinkStatus(
        sink="central",
        connected=False,
        since=NOW - (8 * HOUR + 32 * MINUTE),
        backlog=184_213,
        acknowledged=18_217_900,
        dead_letters=0,
        oldest_unsent=NOW - (8 * HOUR + 32 * MINUTE),
        last_error="connection refused",
    )


def troubled() -> FakeGateway:
    """The demo building on a bad morning: a lost room, the cloud away, alarms past and present."""
    fake = FakeGateway(alarms=[device_lost()], sinks=[away_sink()])
    fake.lose("room-102")
    fake.all_points = [
        msgspec.structs.replace(one, value=None, quality=36, fault="no_such_object")
        if (one.device, one.point) == ("zone-2", "valve")
        else one
        for one in fake.all_points
    ]
    fake.devices = [
        msgspec.structs.replace(one, points_good=3) if one.device == "zone-2" else one for one in fake.devices
    ]
    past = Alarm(
        source="gas-meter",
        kind="device_lost",
        severity=Severity.CRITICAL,
        message="gas-meter: no_answer timed out after 1 s",
        raised=NOW - 2 * DAY,
        cleared=NOW - 2 * DAY + 13 * MINUTE,
    )
    fake.stored_alarms = [past, device_lost()]
    return fake
