"""Takes the gateway's state together into one `SiteStatus`: what the page, the API and the alarms look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.base import FIRST_BAD
from gateway.devices import DeviceBoard
from gateway.live import LiveTable
from gateway.records import KpiResult
from gateway.site import DeviceSpec, PointSpec
from gateway.status import DeviceStatus, PointStatus


@dataclass(frozen=True, slots=True)
class PointView:
    """Reads points and devices from the live table and the board.

    ids: (device, point) -> series id of every configured point.
    """

    live: LiveTable
    board: DeviceBoard
    devices: Mapping[str, DeviceSpec]
    ids: Mapping[tuple[str, str], int]

    def points(self, device: str | None = None) -> list[PointStatus]:
        """The status of one device's points, or of all."""
        chosen = (
            self.devices.values()
            if device is None
            else [self.devices[device]]
            if device in self.devices
            else []
        )
        return [self._point(point) for one in chosen for point in one.points]

    def by_series(self, series: Sequence[int]) -> list[PointStatus]:
        """The status of the points with these ids; ids of nothing that is configured are left out."""
        wanted = set(series)
        return [
            self._point(point)
            for one in self.devices.values()
            for point in one.points
            if self.ids[point.key] in wanted
        ]

    def device_statuses(self) -> tuple[DeviceStatus, ...]:
        """The status of every device, as configured."""
        return tuple(self._device(device) for device in self.devices.values())

    def _point(self, point: PointSpec) -> PointStatus:
        series = self.ids[point.key]
        quality = int(self.live.quality[series])
        fault = self.board[point.device].point_faults.get(series)
        return PointStatus(
            series=series,
            device=point.device,
            point=point.name,
            quantity=point.quantity,
            unit=point.unit,
            kind=str(point.kind),
            value=float(self.live.value[series]) if quality < FIRST_BAD else None,
            quality=quality,
            time=int(self.live.time[series]),
            fault=str(fault.code) if fault else "",
            fault_detail=fault.detail if fault else "",
            every_s=point.every_s,
        )

    def _device(self, device: DeviceSpec) -> DeviceStatus:
        state = self.board[device.name]
        series = [self.ids[point.key] for point in device.points]
        good = int((self.live.quality[series] < FIRST_BAD).sum()) if series else 0
        return DeviceStatus(
            device=device.name,
            link=device.link,
            driver=device.driver,
            online=state.online,
            last_answer=state.last_answer,
            since=state.since,
            latency_ms=None if state.latency_s is None else round(1000 * state.latency_s, 2),
            points=len(series),
            points_good=good,
            fault=str(state.fault.code) if state.fault else "",
            fault_detail=state.fault.detail if state.fault else "",
            address=device.address,
            every_s=min((point.every_s for point in device.points), default=0.0),
        )


def shown_kpis(results: Sequence[KpiResult]) -> tuple[KpiResult, ...]:
    """One result for each (kpi, cadence, scope): the newest period that has a value, else the newest.

    On a Monday at one o'clock the week has no figure yet; last week's is what a reader wants then.
    """
    shown: dict[tuple[str, str, str], KpiResult] = {}
    for result in sorted(results, key=lambda result: result.start):
        key = (result.kpi, result.cadence, result.scope)
        if result.value is not None or key not in shown or shown[key].value is None:
            shown[key] = result
    return tuple(shown.values())
