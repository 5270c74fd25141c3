"""Alarms: conditions found in the status, raised once, cleared once, kept as records.

`conditions` is pure: a status in, the conditions that hold out. `AlarmBoard` compares them with what is
open. An alarm's identity is (source, kind, raised): it has both of its times when it is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gateway.clock import SECOND_NS
from gateway.records import Alarm, Severity, Status
from gateway.status import DeviceStatus, PointStatus, SinkStatus, SiteStatus, StoreStatus

STALE = 48
FIRST_BAD = 32


@dataclass(frozen=True, slots=True)
class Condition:
    """Something is wrong now."""

    source: str
    kind: str
    severity: Severity
    message: str
    value: float | None = None
    hold_s: float = 0.0
    """How long it has to last before it is worth an alarm."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When to speak up."""

    buffer_share: float = 0.8
    sink_stuck_s: float = 300.0
    point_hold_s: float = 60.0
    room_s: float = 3 * 86400.0


def conditions(
    status: SiteStatus,
    points: Sequence[PointStatus],
    limits: Thresholds | None = None,
    losses: Losses | None = None,
) -> list[Condition]:
    """Every condition that holds in this status, at most one for each (source, kind).

    losses: what the store lost lately; its totals alone would alarm for ever.
    """
    limits = limits or Thresholds()
    losses = losses or Losses()
    lost = {device.device for device in status.devices if not device.online and device.fault}
    found = [_device_lost(device) for device in status.devices if device.device in lost]
    found += [_point(point, limits) for point in points if point.device not in lost and _is_bad(point)]
    found += _store(status, limits, losses)
    found += _sinks(status, limits)
    found += [
        Condition(
            f"kpi/{kpi.kpi}",
            "kpi_below_target",
            Severity.INFORMATION,
            f"{kpi.kpi} is {kpi.value:g} {kpi.unit}, target {kpi.target:g}",
            kpi.value,
        )
        for kpi in status.kpis
        if kpi.status is Status.BELOW and not kpi.partial and kpi.value is not None and kpi.target is not None
    ]
    if status.worker == "down":
        found.append(
            Condition("worker", "worker_down", Severity.WARNING, "the KPI worker does not run", hold_s=60.0)
        )
    return found


def _device_lost(device: DeviceStatus) -> Condition:
    return Condition(
        device.device,
        "device_lost",
        Severity.CRITICAL,
        f"{device.device}: {device.fault} {device.fault_detail}".rstrip(),
    )


def _is_bad(point: PointStatus) -> bool:
    return point.quality >= FIRST_BAD and point.time > 0


def _point(point: PointStatus, limits: Thresholds) -> Condition:
    kind = "point_stale" if point.quality == STALE else "point_bad"
    why = f"{point.fault} {point.fault_detail}".strip() or f"quality {point.quality}"
    return Condition(
        f"{point.device}/{point.point}",
        kind,
        Severity.WARNING,
        f"{point.device}/{point.point}: {why}",
        float(point.quality),
        limits.point_hold_s,
    )


def _store(status: SiteStatus, limits: Thresholds, losses: Losses) -> Iterable[Condition]:
    store = status.store
    share = store.bytes_used / store.bytes_cap if store.bytes_cap else 0.0
    waiting = any(_waited_s(status, sink) > limits.sink_stuck_s for sink in status.sinks)
    short_of_room = store.room_s is not None and store.room_s < limits.room_s
    if waiting and (share > limits.buffer_share or short_of_room):  # full of what is sent is not filling
        yield Condition(
            "store",
            "buffer_filling",
            Severity.WARNING,
            f"the buffer is {100 * share:.0f} % full",
            100 * share,
        )
    if store.mode != "disk":
        yield Condition(
            "store",
            "store_degraded",
            Severity.CRITICAL,
            "the disk cannot be written; values are kept in memory only",
        )
    if losses.dropped:
        yield Condition(
            "store",
            "samples_dropped",
            Severity.CRITICAL,
            f"{losses.dropped} values were dropped to make room",
            float(losses.dropped),
        )
    if losses.quarantined:
        yield Condition(
            "store",
            "store_quarantined",
            Severity.CRITICAL,
            "a damaged store file was set aside",
            float(losses.quarantined),
        )


def _sinks(status: SiteStatus, limits: Thresholds) -> Iterable[Condition]:
    for sink in status.sinks:
        waited_s = _waited_s(status, sink)
        last_success_s = (status.time - max(sink.last_success, status.started)) / SECOND_NS
        if sink.backlog and waited_s > limits.sink_stuck_s and last_success_s > limits.sink_stuck_s:
            yield Condition(
                f"sync/{sink.sink}",
                "sync_stuck",
                Severity.WARNING,
                f"nothing reached {sink.sink} for {last_success_s / 60:.0f} min: {sink.last_error}".rstrip(
                    ": "
                ),
                float(sink.backlog),
            )
        if sink.dead_letters:
            yield Condition(
                f"sync/{sink.sink}",
                "dead_letters",
                Severity.WARNING,
                f"{sink.sink} refused {sink.dead_letters} lines",
                float(sink.dead_letters),
            )


def _waited_s(status: SiteStatus, sink: SinkStatus) -> float:
    return (status.time - sink.oldest_unsent) / SECOND_NS if sink.oldest_unsent else 0.0


@dataclass(frozen=True, slots=True)
class Losses:
    """What the store lost within the last day: values dropped by policy, damaged files and rows set aside."""

    dropped: int = 0
    quarantined: int = 0


class LossWatch:
    """Turns the store's totals, which never fall, into what was lost lately."""

    def __init__(self, keep_s: float = 86400.0) -> None:
        self._keep_s = keep_s
        self._totals: Losses | None = None
        self._recent: deque[tuple[float, Losses]] = deque()

    def look(self, store: StoreStatus, now_s: float) -> Losses:
        """The losses of the last day. now_s: monotonic seconds. What was lost before the start is history."""
        totals = Losses(store.dropped, store.quarantined)
        known = self._totals or totals
        if totals != known:
            new = Losses(totals.dropped - known.dropped, totals.quarantined - known.quarantined)
            self._recent.append((now_s, new))
        self._totals = totals
        while self._recent and now_s - self._recent[0][0] > self._keep_s:
            self._recent.popleft()
        return Losses(
            sum(losses.dropped for _, losses in self._recent),
            sum(losses.quarantined for _, losses in self._recent),
        )


def undecided(status: SiteStatus) -> frozenset[str]:
    """Devices nobody has heard of yet in this life: an alarm they had before a restart stays as it was."""
    return frozenset(
        device.device for device in status.devices if not device.last_answer and not device.fault
    )


class AlarmBoard:
    """The open alarms. `update` gives the records that changed: they go to the store."""

    def __init__(self, open_alarms: Iterable[Alarm] = ()) -> None:
        self._open = {(alarm.source, alarm.kind): alarm for alarm in open_alarms if not alarm.cleared}
        self._first_seen: dict[tuple[str, str], tuple[int, float]] = {}

    @property
    def open(self) -> tuple[Alarm, ...]:
        """Open alarms, the most severe first, then the newest."""
        return tuple(sorted(self._open.values(), key=lambda alarm: (-alarm.severity, -alarm.raised)))

    def update(
        self,
        found: Sequence[Condition],
        now_ns: int,
        now_s: float | None = None,
        undecided: Collection[str] = (),
    ) -> list[Alarm]:
        """Raise what is new and has lasted, clear what is over; the alarms that changed.

        now_s: monotonic seconds, by which a condition's lasting is measured. undecided: devices of which
        nothing is known yet; their alarms are left as they are.
        """
        now_s = now_ns / SECOND_NS if now_s is None else now_s
        holding = {(condition.source, condition.kind): condition for condition in found}
        self._first_seen = {key: self._first_seen.get(key, (now_ns, now_s)) for key in holding}
        over = [key for key in self._open.keys() - holding.keys() if key[0].split("/")[0] not in undecided]
        changed = [self._clear(key, now_ns) for key in over]
        for key, condition in holding.items():
            if key not in self._open and now_s - self._first_seen[key][1] >= condition.hold_s:
                changed.append(self._raise(key, condition))
        return changed

    def _raise(self, key: tuple[str, str], condition: Condition) -> Alarm:
        alarm = Alarm(
            source=condition.source,
            kind=condition.kind,
            severity=condition.severity,
            message=condition.message,
            raised=self._first_seen[key][0],
            value=condition.value,
        )
        self._open[key] = alarm
        return alarm

    def _clear(self, key: tuple[str, str], now_ns: int) -> Alarm:
        alarm = self._open.pop(key)
        return Alarm(
            source=alarm.source,
            kind=alarm.kind,
            severity=alarm.severity,
            message=alarm.message,
            raised=alarm.raised,
            cleared=max(now_ns, alarm.raised + 1),
            acknowledged_by=alarm.acknowledged_by,
            value=alarm.value,
        )
