"""The Prometheus text format (0.0.4), written by hand: a dozen gauges need no client library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psutil

from gateway.clock import SECOND_NS
from gateway.status import SiteStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Family:
    """One metric with its help, type and rows of (labels, value)."""

    name: str
    kind: str
    help: str
    rows: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> Family:
        self.rows.append((labels, value))
        return self


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def render(families: Iterable[Family]) -> str:
    """The exposition; a family without rows is left out."""
    lines = []
    for family in families:
        if not family.rows:
            continue
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        for labels, value in family.rows:
            names = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            braces = f"{{{names}}}" if names else ""
            lines.append(f"{family.name}{braces} {float(value)!r}")
    return "\n".join(lines) + "\n"


def families(status: SiteStatus, viewers: int) -> list[Family]:
    """The gateway's figures as metric families."""
    return [*_gateway(status, viewers), *_store(status), *_devices(status), *_sinks(status), *_kpis(status)]


def _gateway(status: SiteStatus, viewers: int) -> list[Family]:
    online = sum(device.online for device in status.devices)
    uptime = (status.time - status.started) / SECOND_NS
    rss = psutil.Process().memory_info().rss
    alarms = Family("heyzack_alarms_open", "gauge", "Open alarms by severity.")
    for severity in sorted({alarm.severity for alarm in status.alarms}):
        n = sum(alarm.severity == severity for alarm in status.alarms)
        alarms.add(n, severity=severity.name.lower())
    return [
        Family("heyzack_ready", "gauge", "1 when the gateway is ready.").add(status.ready),
        Family("heyzack_uptime_seconds", "gauge", "Seconds since the start.").add(uptime),
        Family("heyzack_poll_late_total", "counter", "Polls that started late.").add(status.poll_late),
        Family("heyzack_devices", "gauge", "Configured devices.").add(len(status.devices)),
        Family("heyzack_devices_online", "gauge", "Devices that answer.").add(online),
        Family("heyzack_viewers", "gauge", "Open live streams.").add(viewers),
        Family("process_resident_memory_bytes", "gauge", "Resident memory.").add(rss),
        alarms,
    ]


def _store(status: SiteStatus) -> list[Family]:
    store = status.store
    return [
        Family("heyzack_samples_committed_total", "counter", "Samples on disk since the store was made.").add(
            store.samples_committed
        ),
        Family("heyzack_samples_dropped_total", "counter", "Samples dropped to make room.").add(
            store.dropped
        ),
        Family("heyzack_store_quarantined_total", "counter", "Damaged store files set aside.").add(
            store.quarantined
        ),
        Family("heyzack_store_bytes", "gauge", "Size of the store.").add(store.bytes_used),
        Family("heyzack_store_bytes_cap", "gauge", "The size the store may take.").add(store.bytes_cap),
        Family("heyzack_disk_free_bytes", "gauge", "Free on the store's disk.").add(store.bytes_free_on_disk),
        Family("heyzack_store_on_disk", "gauge", "0 when values are kept in memory only.").add(
            store.mode == "disk"
        ),
    ]


def _devices(status: SiteStatus) -> list[Family]:
    up = Family("heyzack_device_up", "gauge", "1 when the device answers.")
    latency = Family("heyzack_device_latency_seconds", "gauge", "Duration of the last poll.")
    good = Family("heyzack_device_points_good", "gauge", "Points with a good value.")
    for device in status.devices:
        up.add(device.online, device=device.device, driver=device.driver)
        good.add(device.points_good, device=device.device)
        if device.latency_ms is not None:
            latency.add(device.latency_ms / 1000, device=device.device)
    return [up, latency, good]


def _sinks(status: SiteStatus) -> list[Family]:
    connected = Family("heyzack_sink_connected", "gauge", "1 when the sink accepts.")
    backlog = Family("heyzack_sync_backlog", "gauge", "Committed but not acknowledged.")
    acknowledged = Family("heyzack_sync_acknowledged_total", "counter", "Acknowledged by the sink.")
    dead = Family("heyzack_sync_dead_letters", "gauge", "Lines refused for good.")
    for sink in status.sinks:
        connected.add(sink.connected, sink=sink.sink)
        backlog.add(sink.backlog, sink=sink.sink)
        acknowledged.add(sink.acknowledged, sink=sink.sink)
        dead.add(sink.dead_letters, sink=sink.sink)
    return [connected, backlog, acknowledged, dead]


def _kpis(status: SiteStatus) -> list[Family]:
    value = Family("heyzack_kpi", "gauge", "Newest value of a KPI, in its unit.")
    for kpi in status.kpis:
        if kpi.value is not None:
            value.add(kpi.value, kpi=kpi.kpi, cadence=kpi.cadence, scope=kpi.scope, unit=kpi.unit)
    return [value]
