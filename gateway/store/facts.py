"""Records as facts for the sinks: measurements `kpi`, `event` and `gateway` of docs/influxdb.md."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.records import Alarm, Event, Health, KpiResult, Record
from gateway.records import Status as KpiStatus
from sync.outbox import Fact

STATUS_CODES = {
    KpiStatus.UNDEFINED: 0.0,
    KpiStatus.NOT_ENTERED: 1.0,
    KpiStatus.BELOW: 2.0,
    KpiStatus.NEAR: 3.0,
    KpiStatus.ON_TRACK: 4.0,
    KpiStatus.EXCEEDING: 5.0,
}
"""Published, never renumbered: the higher the better, 0 and 1 say nothing about the target."""


def facts_of(site: str, records: Iterable[Record]) -> list[Fact]:
    """One fact for each record; an alarm that has been cleared is two, its raising and its clearing."""
    facts: list[Fact] = []
    for record in records:
        if isinstance(record, KpiResult):
            facts.append(_kpi(site, record))
        elif isinstance(record, Alarm):
            facts.extend(_alarm(site, record))
        elif isinstance(record, Event):
            facts.append(_event(site, record))
        else:
            facts.append(_health(site, record))
    return facts


def _kpi(site: str, result: KpiResult) -> Fact:
    return Fact(
        measurement="kpi",
        tags=(
            ("site", site),
            ("kpi", result.kpi),
            ("cadence", result.cadence),
            ("scope", result.scope),
            ("unit", result.unit),
        ),
        fields={
            "value": result.value,
            "lower": result.lower,
            "upper": result.upper,
            "target": result.target,
            "baseline": result.baseline,
            "attainment": result.attainment,
            "completeness": result.completeness,
            "valid": 0.0 if result.value is None else 1.0,
            "status_code": STATUS_CODES[result.status],
            "status": result.status.value,
            "evidence": result.evidence,
            "claim": result.claim,
            "reason": result.reason,
        },
        time=result.start,
    )


def _alarm(site: str, alarm: Alarm) -> list[Fact]:
    tags = (("site", site), ("source", alarm.source), ("kind", alarm.kind))
    raised = {"severity_code": float(alarm.severity), "value": alarm.value, "message": alarm.message}
    facts = [Fact("event", tags, raised, alarm.raised)]
    if alarm.cleared:
        facts.append(Fact("event", tags, {"severity_code": 0.0, "message": "cleared"}, alarm.cleared))
    return facts


def _event(site: str, event: Event) -> Fact:
    tags = (("site", site), ("source", event.source), ("kind", event.kind))
    fields = {"severity_code": float(event.severity), "value": event.value, "message": event.message}
    return Fact("event", tags, fields, event.time)


def _health(site: str, health: Health) -> Fact:
    return Fact(
        "gateway", (("site", site), ("component", health.component)), dict(health.figures), health.time
    )
