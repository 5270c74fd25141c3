"""The site as the gateway runs it: frozen objects made once from the configuration, never re-checked inside.

`gateway.config` builds an `Installation` from YAML; polling, ingest, the KPI worker and the page read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from drivers.base import Kind, Settings
from gateway.expressions import Expression

SITE_DEVICE = "_site"
"""The device name of role series: a dashboard finds the building without knowing its meters."""


@dataclass(frozen=True, slots=True)
class Site:
    """Who and where the building is."""

    id: str
    name: str
    timezone: ZoneInfo
    area_m2: float | None = None
    use: str = "office"
    country: str = ""
    holidays: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A bus or broker. driver: a name of drivers.registry. implicit: made for a device with its own host."""

    name: str
    driver: str
    settings: Settings
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class PointSpec:
    """A point as configured. canonical value = device value * factor + offset.

    low, high: nameplate limits in the canonical unit; outside is `out_of_range`. modulus: where a counter
    rolls over, in canonical units. max_rate: nameplate limit of a counter [unit per hour].
    heartbeat_s: how long a change-of-value point holds its value.
    """

    device: str
    name: str
    source: Settings
    quantity: str
    unit: str
    source_unit: str
    kind: Kind
    every_s: float
    factor: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None
    modulus: float | None = None
    max_rate: float | None = None
    cov: float | None = None
    heartbeat_s: float = 0.0
    description: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return (self.device, self.name)


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device as configured, its template already expanded into points."""

    name: str
    link: str
    driver: str
    settings: Settings
    points: tuple[PointSpec, ...]
    template: str = ""
    description: str = ""
    address: str = ""
    """Host, port and unit in the protocol's words, for people."""


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """What KPIs ask for, as an expression over points ('device/point')."""

    name: str
    expression: Expression
    quantity: str
    unit: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """A zone of the building; readings maps temperature, co2, humidity, occupancy, ... to 'device/point'."""

    name: str
    floor: str = ""
    area_m2: float | None = None
    readings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KpiSettings:
    """Baseline period (both dates inclusive, site's zone), first day after the retrofit, targets, inputs.

    targets: KPI id -> target in the KPI's unit, only what differs from the catalogue. factors: carrier ->
    factor table name (configs/kpis/factors). every_s: how often the worker refreshes open periods.
    """

    baseline_from: date | None = None
    baseline_to: date | None = None
    retrofit: date | None = None
    targets: Mapping[str, float] = field(default_factory=dict)
    factors: Mapping[str, str] = field(default_factory=dict)
    every_s: float = 900.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the store is and how much it may take."""

    path: Path
    max_bytes: int = 4 << 30
    min_free: int = 500 << 20
    raw_days: int = 90
    interval_days: int = 5 * 366


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """One cloud target. api: 'v2' (/api/v2/write) or 'v1' (/write?db=). token and password are secrets."""

    name: str
    url: str
    api: str = "v2"
    org: str = ""
    bucket: str = ""
    database: str = ""
    username: str = ""
    token: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    verify_tls: bool = True
    ca: Path | None = None
    gzip: bool = True
    settle_s: float = 60.0
    timeout_s: float = 20.0
    batch_lines: int = 5000


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the page listens; loopback unless the configuration says otherwise."""

    host: str = "127.0.0.1"
    port: int = 8080
    anonymous: bool = False
    """The demo's page is open to anonymous viewers."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The whole configuration, ready to run."""

    folder: Path
    site: Site
    links: Mapping[str, LinkSpec]
    devices: Mapping[str, DeviceSpec]
    roles: Mapping[str, RoleSpec]
    zones: Mapping[str, ZoneSpec]
    kpis: KpiSettings
    store: StoreSettings
    sinks: Mapping[str, SinkSettings]
    web: WebSettings
