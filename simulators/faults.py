"""Faults on demand: one vocabulary for every simulated device, and the board that holds what is on.

A fault is set on a device by name, lasts until it is cleared or its time is over, and may strike only a share
of the occasions (seeded, so that a run can be repeated). What a fault means on its wire is in
`simulators.faulty_modbus`, `faulty_bacnet`, `faulty_mqtt` and `faulty_cloud`; what it does to values is here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final, Protocol

from drivers.base import Now
from drivers.modbus.settings import PointSettings as ModbusPoint
from drivers.modbus.types import REGISTER_TYPES, RegisterType
from simulators.base import ServedPoint

SECOND_NS: Final = 1_000_000_000


class FaultKind(StrEnum):
    """What can go wrong. README.md has what each does on each wire."""

    DELAY = "delay"
    DROP = "drop"
    EXCEPTION = "exception"
    CORRUPT = "corrupt"
    WRONG_UNIT = "wrong-unit"
    WRONG_TRANSACTION = "wrong-transaction"
    TRUNCATE = "truncate"
    HALF_OPEN = "half-open"
    REBOOT = "reboot"
    FROZEN = "frozen"
    SPIKE = "spike"
    COUNTER_RESET = "counter-reset"
    COUNTER_ROLLOVER = "counter-rollover"
    NOT_AVAILABLE = "not-available"
    CLOCK_DRIFT = "clock-drift"
    NO_SEGMENTATION = "no-segmentation"
    UNKNOWN_OBJECT = "unknown-object"
    LOST_COV = "lost-cov"
    MALFORMED_FLOOD = "malformed-flood"
    OVERSIZE = "oversize"
    RETAINED_STALE = "retained-stale"
    SLOW = "slow"
    PARTIAL = "partial"


_K = FaultKind
VALUE_FAULTS: Final = frozenset(
    {_K.FROZEN, _K.SPIKE, _K.COUNTER_RESET, _K.COUNTER_ROLLOVER, _K.NOT_AVAILABLE, _K.CLOCK_DRIFT}
)
COUNTER_FAULTS: Final = frozenset({_K.COUNTER_RESET, _K.COUNTER_ROLLOVER})
MOMENTARY: Final = frozenset({_K.HALF_OPEN, _K.LOST_COV, _K.MALFORMED_FLOOD, _K.OVERSIZE})
"""Over as soon as they have happened."""
APPLIES: Final = {
    "modbus": VALUE_FAULTS
    | {
        _K.DELAY, _K.DROP, _K.EXCEPTION, _K.CORRUPT, _K.WRONG_UNIT, _K.WRONG_TRANSACTION, _K.TRUNCATE,
        _K.HALF_OPEN, _K.REBOOT, _K.UNKNOWN_OBJECT,
    },
    "bacnet": VALUE_FAULTS
    | {
        _K.DELAY, _K.DROP, _K.CORRUPT, _K.WRONG_TRANSACTION, _K.TRUNCATE, _K.REBOOT, _K.NO_SEGMENTATION,
        _K.UNKNOWN_OBJECT, _K.LOST_COV,
    },
    "sensor": VALUE_FAULTS | {_K.DELAY, _K.DROP, _K.CORRUPT, _K.TRUNCATE, _K.RETAINED_STALE},
    "broker": frozenset({_K.REBOOT, _K.MALFORMED_FLOOD, _K.OVERSIZE}),
    "cloud": frozenset({_K.DELAY, _K.EXCEPTION, _K.REBOOT, _K.SLOW, _K.PARTIAL}),
}  # fmt: skip
"""Which faults a kind of device can have."""

_SECONDS: Final = {
    _K.DELAY: 2.0, _K.COUNTER_ROLLOVER: 10.0, _K.RETAINED_STALE: 86_400.0,
}  # fmt: skip
_VALUES: Final = {
    _K.SPIKE: 100.0, _K.COUNTER_RESET: 0.0, _K.CLOCK_DRIFT: 0.01, _K.MALFORMED_FLOOD: 10_000.0,
    _K.OVERSIZE: 10_000_000.0, _K.SLOW: 1.0, _K.PARTIAL: 0.1,
}  # fmt: skip
_CODES: Final = {"modbus": 4, "cloud": 503}
REBOOT_S: Final = 10.0
_COUNTER_UNITS: Final = frozenset(
    {"Wh", "kWh", "MWh", "GJ", "MJ", "varh", "kvarh", "Mvarh", "VAh", "kVAh", "m3", "L"}
)


Shows = dict[FaultKind, Callable[["ActiveFault", ServedPoint, int], float]]
"""What a register or sensor shows under a fault, at a UTC time [ns]."""


class FaultError(ValueError):
    """The fault cannot be set; the message says what can."""


@dataclass(frozen=True, slots=True)
class SimulatedFault:
    """One thing to go wrong.

    for_s: how long [s]; None until it is cleared (a reboot: 10 s). point: one point only; all of the device
    when empty. share: of the occasions it strikes, 0-1. code: Modbus exception or HTTP status. seconds and
    value: what they mean depends on the kind (README.md); None takes its default.
    """

    kind: FaultKind
    for_s: float | None = None
    point: str = ""
    share: float = 1.0
    code: int | None = None
    seconds: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault that is on. since_ns: UTC ns by the simulators' clock."""

    id: int
    device: str
    fault: SimulatedFault
    since_ns: int

    def shown(self) -> dict[str, Any]:
        """For the control port and the command line."""
        fault = self.fault
        rest = {name: getattr(fault, name) for name in ("for_s", "point", "code", "seconds", "value")}
        given = {name: value for name, value in rest.items() if value not in (None, "")}
        share = {} if fault.share == 1.0 else {"share": fault.share}
        return {
            "id": self.id,
            "device": self.device,
            "kind": str(fault.kind),
            "since": self.since_ns,
            **given,
            **share,
        }


class Target(Protocol):
    """One thing that faults can be set on. protocol: a key of `APPLIES`.

    begin and end are called when a fault comes and goes; what lasts in between is looked up on the board.
    """

    protocol: str
    points: Sequence[str]

    async def begin(self, active: ActiveFault) -> None: ...

    async def end(self, active: ActiveFault) -> None: ...


class FaultBoard:
    """What is wrong with whom, now. now: UTC ns, the simulators' clock."""

    def __init__(self, now: Now = time.time_ns, seed: int = 0) -> None:
        self.now = now
        self._draw = random.Random(seed)
        self._targets: dict[str, Target] = {}
        self._active: dict[str, tuple[ActiveFault, ...]] = {}
        self._timers: dict[int, asyncio.Task[None]] = {}
        self._last_id = 0

    def attach(self, name: str, target: Target) -> None:
        """Make a device known under its name."""
        self._targets[name] = target

    def targets(self) -> dict[str, dict[str, Any]]:
        """Every device: its protocol, its points, the faults it can have."""
        return {
            name: {
                "protocol": target.protocol,
                "points": list(target.points),
                "faults": sorted(APPLIES[target.protocol]),
            }
            for name, target in self._targets.items()
        }

    def active(self, device: str | None = None) -> tuple[ActiveFault, ...]:
        """The faults that are on, of one device or of all, oldest first."""
        if device is not None:
            return self._active.get(device, ())
        return tuple(sorted((a for of in self._active.values() for a in of), key=lambda a: a.id))

    def striking(self, device: str, *kinds: FaultKind) -> list[ActiveFault]:
        """The faults of these kinds that strike on this occasion."""
        return [
            active
            for active in self._active.get(device, ())
            if active.fault.kind in kinds and self._strikes(active.fault)
        ]

    async def set(self, device: str, fault: SimulatedFault) -> ActiveFault:
        """Turn a fault on. Raises FaultError when the device is unknown or cannot have it."""
        target = self._target(device)
        fault = _completed(fault, device, target)
        self._last_id += 1
        active = ActiveFault(self._last_id, device, fault, self.now())
        if fault.kind not in MOMENTARY:
            self._active[device] = (*self._active.get(device, ()), active)
        await target.begin(active)
        if fault.kind not in MOMENTARY and fault.for_s is not None:
            self._timers[active.id] = asyncio.create_task(self._end_after(active, fault.for_s))
        return active

    async def clear(self, device: str | None = None, fault_id: int | None = None) -> int:
        """Turn off one fault, those of a device, or all; how many that were."""
        gone = [
            active
            for active in self.active()
            if (device is None or active.device == device) and (fault_id is None or active.id == fault_id)
        ]
        for active in gone:
            await self._end(active)
        return len(gone)

    async def close(self) -> None:
        """Forget everything; nothing is put right on the wire."""
        timers, self._timers = list(self._timers.values()), {}
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)
        self._active = {}

    def spoiled(self, device: str, point: ServedPoint, *, absent_is_nan: bool = False) -> ServedPoint:
        """The point as its device shows it under the value faults that are on.

        absent_is_nan: "not available" is NaN here; elsewhere the wire has its own way of saying it.
        """
        shows = _SHOWN | {FaultKind.NOT_AVAILABLE: _absent} if absent_is_nan else _SHOWN

        def value_at(t_ns: int) -> float:
            mine = self._active.get(device)
            return self._spoil(mine, point, t_ns, shows) if mine else point.value_at(t_ns)

        return replace(point, value_at=value_at)

    def _spoil(self, mine: tuple[ActiveFault, ...], point: ServedPoint, t_ns: int, shows: Shows) -> float:
        for active in mine:
            fault = active.fault
            if fault.point not in ("", point.name) or fault.kind not in shows:
                continue
            if fault.kind in COUNTER_FAULTS and not (fault.point or point.unit in _COUNTER_UNITS):
                continue
            if self._strikes(fault):
                return shows[fault.kind](active, point, t_ns)
        return point.value_at(t_ns)

    def _strikes(self, fault: SimulatedFault) -> bool:
        return fault.share >= 1.0 or self._draw.random() < fault.share

    def _target(self, device: str) -> Target:
        target = self._targets.get(device)
        if target is None:
            raise FaultError(f"there is no device '{device}'; {_suggestion(device, self._targets)}")
        return target

    async def _end(self, active: ActiveFault) -> None:
        left = tuple(one for one in self._active.get(active.device, ()) if one is not active)
        if left:
            self._active[active.device] = left
        else:
            self._active.pop(active.device, None)
        timer = self._timers.pop(active.id, None)
        if timer is not None and timer is not asyncio.current_task():
            timer.cancel()
        await self._targets[active.device].end(active)

    async def _end_after(self, active: ActiveFault, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._end(active)


def _completed(fault: SimulatedFault, device: str, target: Target) -> SimulatedFault:
    """The fault with its kind's defaults; FaultError when this device cannot have it."""
    kind = fault.kind
    if kind not in APPLIES[target.protocol]:
        raise FaultError(
            f"{device} ({target.protocol}) cannot have '{kind}'; it can have "
            + ", ".join(sorted(APPLIES[target.protocol]))
        )
    if fault.point and fault.point not in target.points:
        raise FaultError(f"{device} has no point '{fault.point}'; {_suggestion(fault.point, target.points)}")
    if kind is _K.UNKNOWN_OBJECT and not fault.point:
        raise FaultError("unknown-object needs the point that the device shall deny")
    if not 0.0 < fault.share <= 1.0:
        raise FaultError("share is more than 0 and at most 1")
    if (fault.for_s is not None and fault.for_s <= 0) or (fault.seconds is not None and fault.seconds < 0):
        raise FaultError("durations are positive")
    return replace(
        fault,
        for_s=REBOOT_S if kind is _K.REBOOT and fault.for_s is None else fault.for_s,
        seconds=_SECONDS.get(kind) if fault.seconds is None else fault.seconds,
        value=_VALUES.get(kind) if fault.value is None else fault.value,
        code=_CODES.get(target.protocol) if kind is _K.EXCEPTION and fault.code is None else fault.code,
    )


def _suggestion(word: str, known: Any) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(sorted(known))}"


def default_modulus(point: ServedPoint) -> float:
    """Where the register would roll over by its width, in the point's unit; a million where it has none."""
    settings = point.settings
    if isinstance(settings, ModbusPoint) and settings.decoded_type is not RegisterType.BIT:
        layout = REGISTER_TYPES[settings.decoded_type]
        if not layout.is_float:
            return float(2 ** (16 * layout.words - layout.is_signed)) * abs(settings.scale)
    return 1e6


def _frozen(active: ActiveFault, point: ServedPoint, t_ns: int) -> float:
    return point.value_at(active.since_ns)


def _spike(active: ActiveFault, point: ServedPoint, t_ns: int) -> float:
    return point.value_at(t_ns) * (active.fault.value or 0.0)


def _reset(active: ActiveFault, point: ServedPoint, t_ns: int) -> float:
    return (active.fault.value or 0.0) + point.value_at(t_ns) - point.value_at(active.since_ns)


def _rollover(active: ActiveFault, point: ServedPoint, t_ns: int) -> float:
    """The register passes its modulus `seconds` after the fault was set."""
    modulus = active.fault.value or default_modulus(point)
    at_rollover = point.value_at(active.since_ns + round((active.fault.seconds or 0.0) * SECOND_NS))
    return (point.value_at(t_ns) - at_rollover) % modulus


def _drift(active: ActiveFault, point: ServedPoint, t_ns: int) -> float:
    """The device lives `seconds` ahead, and gains `value` seconds each second."""
    gained = (t_ns - active.since_ns) * (active.fault.value or 0.0)
    return point.value_at(t_ns + round((active.fault.seconds or 0.0) * SECOND_NS + gained))


def _absent(active: ActiveFault, point: ServedPoint, t_ns: int) -> float:
    return float("nan")


_SHOWN: Final[Shows] = {
    _K.FROZEN: _frozen,
    _K.SPIKE: _spike,
    _K.COUNTER_RESET: _reset,
    _K.COUNTER_ROLLOVER: _rollover,
    _K.CLOCK_DRIFT: _drift,
}
