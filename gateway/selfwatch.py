"""The gateway's own signs of life: a heartbeat sample a minute, and its health figures."""

from __future__ import annotations

import psutil

from drivers.base import Batch
from gateway.clock import Clock
from gateway.records import Health
from gateway.status import SiteStatus


class SelfWatch:
    """Measures this process between two calls of `health`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process = psutil.Process()
        self._process.cpu_percent()

    def heartbeat(self, series: int) -> Batch:
        """One sample that says: the gateway runs."""
        return Batch.of([series], self._clock.now_ns(), 1.0)

    def health(self, status: SiteStatus) -> Health:
        """Figures of the whole gateway, for measurement `gateway`."""
        figures = {
            "cpu_percent": self._process.cpu_percent(),
            "rss_bytes": float(self._process.memory_info().rss),
            "uptime_s": (status.time - status.started) / 1e9,
            "devices": float(len(status.devices)),
            "devices_online": float(sum(device.online for device in status.devices)),
            "points": float(sum(device.points for device in status.devices)),
            "points_good": float(sum(device.points_good for device in status.devices)),
            "poll_late": float(status.poll_late),
            "alarms": float(len(status.alarms)),
            "samples_committed": float(status.store.samples_committed),
            "store_bytes": float(status.store.bytes_used),
            "backlog": float(sum(sink.backlog for sink in status.sinks)),
        }
        return Health(component="gateway", time=status.time, figures=figures)
