"""Asks points directly through the drivers, beside or without a running gateway, and keeps the raw bytes.

A session of its own never disturbs the gateway's: an MQTT session takes another client id and leaves nothing
behind at the broker.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drivers.base import (
    FIRST_BAD,
    Delivery,
    Device,
    Fault,
    FaultCode,
    LinkError,
    PollGroup,
    PollResult,
    Quality,
    Settings,
)
from drivers.registry import KINDS
from gateway.field import driver_device
from gateway.ingest import ConversionTable
from gateway.site import DeviceSpec, Installation, LinkSpec, PointSpec

PATIENCE_S = 5.0
"""How much longer than its own period a sender is waited for."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One point, read once. value: in the canonical unit, None when it is bad.

    device_value: as the device says it, in source_unit. latency_ms: of the request that brought it. raw:
    bytes (hex) or payload. fault: why there is no value.
    """

    device: str
    point: str
    value: float | None
    unit: str
    quality: str
    latency_ms: float | None
    raw: str
    fault: str
    detail: str
    device_value: float | None
    source_unit: str

    @property
    def good(self) -> bool:
        return self.value is not None


def read_points(
    installation: Installation, points: Iterable[PointSpec], wait_s: float | None = None
) -> list[Reading]:
    """Read each of these points once; a result for every one, in their order.

    wait_s: the longest wait for devices that send by themselves; by default their period and a little more.
    """
    return asyncio.run(_Probe(installation, list(points)).run(wait_s))


def watch_points(
    installation: Installation, points: Iterable[PointSpec], rounds: int, every_s: float
) -> list[list[Reading]]:
    """Read each of these points `rounds` times, `every_s` apart, over connections that stay; by point."""
    probe = _Probe(installation, list(points), rounds, every_s)
    asyncio.run(probe.run(None))
    return probe.history


class _Probe:
    """Rounds of questions. Series ids are positions in the list of points."""

    def __init__(
        self, installation: Installation, points: list[PointSpec], rounds: int = 1, every_s: float = 0.0
    ) -> None:
        self._installation = installation
        self._rounds = rounds
        self._every_s = every_s
        self.history: list[list[Reading]] = [[] for _ in points]
        self._points = points
        self._ids = {point.key: series for series, point in enumerate(points)}
        self._table = ConversionTable(dict(enumerate(points)))
        self._readings: dict[int, Reading] = {}

    async def run(self, wait_s: float | None) -> list[Reading]:
        by_link: dict[str, list[DeviceSpec]] = {}
        for name in dict.fromkeys(point.device for point in self._points):
            device = self._installation.devices[name]
            by_link.setdefault(device.link, []).append(device)
        await asyncio.gather(
            *(
                self._read_link(self._installation.links[link], devices, wait_s)
                for link, devices in by_link.items()
            )
        )
        return [self._readings[series] for series in range(len(self._points))]

    async def _read_link(self, link: LinkSpec, specs: list[DeviceSpec], wait_s: float | None) -> None:
        devices = [self._device(spec) for spec in specs]
        driver = KINDS[link.driver].create(link.name, _own_session(link.settings), time.time_ns)
        try:
            await driver.open(_ignore)
        except (LinkError, OSError) as error:
            for group in _groups(devices):
                self._fail(group, Fault(FaultCode.REFUSED, str(error)))
            self._keep(devices)
            return
        try:
            await driver.assign(devices)
            for number in range(self._rounds):
                if number:
                    await asyncio.sleep(self._every_s)
                    self._forget(devices)
                for group in _groups(devices):
                    await self._read_group(driver, group, link, 0.0 if number else wait_s)
                self._keep(devices)
        finally:
            await driver.close()

    def _forget(self, devices: list[Device]) -> None:
        for group in _groups(devices):
            for point in group.points:
                self._readings.pop(point.series, None)

    def _keep(self, devices: list[Device]) -> None:
        for group in _groups(devices):
            for point in group.points:
                self.history[point.series].append(self._readings[point.series])

    async def _read_group(self, driver: Any, group: PollGroup, link: LinkSpec, wait_s: float | None) -> None:
        polled = KINDS[link.driver].polled
        allowed = (group.every_s + PATIENCE_S if wait_s is None else wait_s) if not polled else 0.0
        until = time.monotonic() + allowed
        while True:
            result: PollResult = await driver.poll(group, trace=True)
            self._note(group, result)
            if time.monotonic() >= until or all(self._readings[p.series].good for p in group.points):
                return

    def _device(self, spec: DeviceSpec) -> Device:
        wanted = tuple(point for point in spec.points if point.key in self._ids)
        narrowed = DeviceSpec(spec.name, spec.link, spec.driver, spec.settings, wanted)
        return driver_device(narrowed, self._ids)

    def _note(self, group: PollGroup, result: PollResult) -> None:
        converted = self._table.convert(result.batch)
        values = dict(zip(converted.series.tolist(), converted.value.tolist(), strict=True))
        qualities = dict(zip(converted.series.tolist(), converted.quality.tolist(), strict=True))
        reported = dict(zip(result.batch.series.tolist(), result.batch.value.tolist(), strict=True))
        for point in group.points:
            fault = result.point_faults.get(point.series) or result.fault
            quality = Quality(qualities.get(point.series, Quality.COMM_LOST))
            good = quality < FIRST_BAD
            before = self._readings.get(point.series)
            if before is not None and before.good and not good:
                continue
            self._readings[point.series] = Reading(
                device=point.device,
                point=point.name,
                value=values[point.series] if good else None,
                unit=point.unit,
                quality=quality.name.lower(),
                latency_ms=round(result.latency_s * 1e3, 3) if result.fault is None else None,
                raw=result.raw.get(point.series, ""),
                fault="" if fault is None or good else str(fault.code),
                detail="" if fault is None or good else fault.detail,
                device_value=_finite(reported.get(point.series)),
                source_unit=point.source_unit,
            )

    def _fail(self, group: PollGroup, fault: Fault) -> None:
        for point in group.points:
            spec = self._points[point.series]
            self._readings[point.series] = Reading(
                spec.device, spec.name, None, spec.unit, Quality.COMM_LOST.name.lower(), None, "",
                str(fault.code), fault.detail, None, spec.source_unit,
            )  # fmt: skip


def find_points(installation: Installation) -> Mapping[str, PointSpec]:
    """Every configured point by 'device/point'."""
    return {f"{p.device}/{p.name}": p for device in installation.devices.values() for p in device.points}


def _groups(devices: list[Device]) -> list[PollGroup]:
    return [group for device in devices for group in device.groups]


def _own_session(settings: Settings) -> Settings:
    """The link's settings, with a session that cannot be mistaken for the gateway's."""
    if "client_id" not in type(settings).model_fields:
        return settings
    return settings.model_copy(update={"client_id": f"heyzack-test-{os.getpid()}", "persistent": False})


def _finite(value: float | None) -> float | None:
    return value if value is not None and value == value else None


async def _ignore(delivery: Delivery) -> None:
    """What comes unasked is acknowledged and forgotten: the poll that follows sees it."""
    if delivery.committed is not None:
        delivery.committed()
