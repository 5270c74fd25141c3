"""What the gateway knows of itself, as data: the page, the API, `heyzack status` and alarms all read this."""

from __future__ import annotations

import msgspec

from gateway.records import Alarm, KpiResult


class PointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A point now. value is None while its quality is bad; raw quality code in `quality`."""

    series: int
    device: str
    point: str
    quantity: str
    unit: str
    kind: str
    value: float | None
    quality: int
    time: int
    """UTC ns of the newest sample, 0 when there was none."""
    fault: str = ""
    fault_detail: str = ""
    every_s: float = 0.0


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A device now. online: it answered its last poll (or, for senders, it is not overdue)."""

    device: str
    link: str
    driver: str
    online: bool
    last_answer: int
    """UTC ns of the last answer, 0 when it never answered."""
    since: int
    """UTC ns since when it is in this state."""
    latency_ms: float | None
    points: int
    points_good: int
    fault: str = ""
    fault_detail: str = ""
    address: str = ""
    every_s: float = 0.0


class SinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A sink now. backlog: samples and facts committed but not acknowledged."""

    sink: str
    connected: bool
    since: int
    backlog: int
    acknowledged: int
    dead_letters: int
    oldest_unsent: int
    """UTC ns of the oldest unsent commit, 0 when nothing waits."""
    last_error: str = ""
    last_success: int = 0


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The store now, in bytes and counts."""

    path: str
    bytes_used: int
    bytes_cap: int
    bytes_free_on_disk: int
    samples_committed: int
    newest_seq: int
    oldest_seq: int
    dropped: int
    quarantined: int
    mode: str
    """'disk' or 'memory' (the disk cannot be written)."""
    room_s: float | None = None
    """About how long the buffer lasts without the cloud [s]; None while unknown."""


class ImportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A history import under way: rows done and in all."""

    done: int
    total: int


class SiteStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at once. time: UTC ns when this was taken."""

    site: str
    name: str
    timezone: str
    time: int
    started: int
    ready: bool
    not_ready_because: tuple[str, ...]
    devices: tuple[DeviceStatus, ...]
    sinks: tuple[SinkStatus, ...]
    store: StoreStatus
    alarms: tuple[Alarm, ...]
    kpis: tuple[KpiResult, ...]
    """The newest result of each (kpi, cadence, scope)."""
    poll_late: int = 0
    importing: ImportStatus | None = None
    worker: str = "starting"
    """'starting', 'warm' or 'down'."""
