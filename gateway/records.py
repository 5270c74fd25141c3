"""Records: structured facts that are no samples. Journalled as they are, encoded by msgspec."""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec


class Severity(IntEnum):
    """How soon somebody must look: critical at once, warning within hours, information some day."""

    INFORMATION = 0
    WARNING = 1
    CRITICAL = 2


class Status(StrEnum):
    """A KPI against its target."""

    ON_TRACK = "on_track"
    NEAR = "near"
    BELOW = "below"
    EXCEEDING = "exceeding"
    UNDEFINED = "undefined"
    NOT_ENTERED = "not_entered"


class KpiResult(msgspec.Struct, frozen=True, kw_only=True, tag="kpi"):
    """One KPI over one period. Its key is (kpi, cadence, scope, start); a newer one replaces an older one.

    start, end: UTC ns of the period. lower, upper: the 90 % band where one is known. attainment: value
    against target, 1 = met. completeness: 0-100 %. inputs: what it was computed from (lineage): role or
    point names, baseline period, factor table, model id. reason: why the value is missing or restricted.
    computed: UTC ns when it was computed.
    """

    kpi: str
    cadence: str
    scope: str
    start: int
    end: int
    unit: str
    value: float | None
    lower: float | None = None
    upper: float | None = None
    target: float | None = None
    baseline: float | None = None
    attainment: float | None = None
    completeness: float = 0.0
    estimated_share: float = 0.0
    n_valid: int = 0
    n_expected: int = 0
    status: Status = Status.UNDEFINED
    evidence: str = "none"
    claim: str = "not_shown"
    partial: bool = False
    model_id: str = ""
    reason: str = ""
    inputs: tuple[str, ...] = ()
    details: dict[str, float | str] = {}
    computed: int = 0


class Alarm(msgspec.Struct, frozen=True, kw_only=True, tag="alarm"):
    """One alarm's life: open while `cleared` is 0. Its key is (source, kind, raised)."""

    source: str
    kind: str
    severity: Severity
    message: str
    raised: int
    cleared: int = 0
    acknowledged_by: str = ""
    value: float | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """Something that happened once: start, stop, reload, clock step, command, audit mark."""

    source: str
    kind: str
    time: int
    severity: Severity = Severity.INFORMATION
    message: str = ""
    value: float | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True, tag="health"):
    """A component's health figures at one moment (measurement `gateway`)."""

    component: str
    time: int
    figures: dict[str, float]


Record = KpiResult | Alarm | Event | Health
