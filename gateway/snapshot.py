"""Takes the gateway's state together into one `SiteStatus`: what the page, the API and the alarms look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from drivers.base import FIRST_BAD
from gateway.devices import DeviceBoard
from gateway.live import LiveTable
from gateway.records import KpiResult
from gateway.site import DeviceSpec, PointSpec
from gateway.status import DeviceStatus, PointStatus


class PointView:
    """Reads points and devices from the live table and the board; made once for each configuration.

    ids: (device, point) -> series id of every configured point.
    """

    def __init__(
        self,
        live: LiveTable,
        board: DeviceBoard,
        devices: Mapping[str, DeviceSpec],
        ids: Mapping[tuple[str, str], int],
    ) -> None:
        self._live = live
        self._board = board
        self._devices = devices
        self._series = {
            name: np.array([ids[point.key] for point in device.points], np.intp)
            for name, device in devices.items()
        }
        self._every_s = {
            name: min((point.every_s for point in device.points), default=0.0)
            for name, device in devices.items()
        }
        self._by_id = {ids[point.key]: point for device in devices.values() for point in device.points}

    def points(self, device: str | None = None) -> list[PointStatus]:
        """The status of one device's points, or of all."""
        if device is None:
            return [self._point(series, point) for series, point in self._by_id.items()]
        return self.by_series(self._series[device].tolist()) if device in self._devices else []

    def by_series(self, series: Sequence[int]) -> list[PointStatus]:
        """The status of the points with these ids; ids of nothing that is configured are left out."""
        return [self._point(one, self._by_id[one]) for one in series if one in self._by_id]

    def bad_points(self) -> list[PointStatus]:
        """The status of the points that were heard of and have no value now.

        Alarms ask for them every second: of 20,000 points only the few that are bad become objects.
        """
        live = self._live
        return self.by_series(np.flatnonzero((live.quality >= FIRST_BAD) & (live.time > 0)).tolist())

    def device_statuses(self) -> tuple[DeviceStatus, ...]:
        """The status of every device, as configured."""
        return tuple(self._device(device) for device in self._devices.values())

    def _point(self, series: int, point: PointSpec) -> PointStatus:
        quality = int(self._live.quality[series])
        fault = self._board[point.device].point_faults.get(series)
        return PointStatus(
            series=series,
            device=point.device,
            point=point.name,
            quantity=point.quantity,
            unit=point.unit,
            kind=str(point.kind),
            value=float(self._live.value[series]) if quality < FIRST_BAD else None,
            quality=quality,
            time=int(self._live.time[series]),
            fault=str(fault.code) if fault else "",
            fault_detail=fault.detail if fault else "",
            every_s=point.every_s,
        )

    def _device(self, device: DeviceSpec) -> DeviceStatus:
        state = self._board[device.name]
        series = self._series[device.name]
        return DeviceStatus(
            device=device.name,
            link=device.link,
            driver=device.driver,
            online=state.online,
            last_answer=state.last_answer,
            since=state.since,
            latency_ms=None if state.latency_s is None else round(1000 * state.latency_s, 2),
            points=len(series),
            points_good=int(np.count_nonzero(self._live.quality[series] < FIRST_BAD)),
            fault=str(state.fault.code) if state.fault else "",
            fault_detail=state.fault.detail if state.fault else "",
            address=device.address,
            every_s=self._every_s[device.name],
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
