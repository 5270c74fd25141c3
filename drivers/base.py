"""The field vocabulary: points, batches, qualities, and the one protocol every driver speaks.

A *driver* serves one *link* (a TCP endpoint, serial line, BACnet port or broker session). The gateway
assigns it devices; the driver compiles each device's points into a plan once, and every poll runs the plan
and returns columns. Nothing here knows of stores, KPIs or clouds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict


class Quality(IntEnum):
    """Published quality codes; never renumbered (docs/nomenclature.md).

    0 good; 16-31 uncertain, the value is usable with care; 32-47 bad and 48 stale, there is no value.
    """

    GOOD = 0
    ESTIMATED = 16
    CLOCK_SUSPECT = 17
    OVERRIDDEN = 18
    PARTIAL = 19
    HELD = 20
    COMM_LOST = 32
    FAULT = 33
    OUT_OF_RANGE = 34
    NOT_AVAILABLE = 35
    BAD_VALUE = 36
    STALE = 48


FIRST_BAD = 32
"""Qualities from here on carry no value: the value column holds NaN and nobody reads it."""


class Kind(StrEnum):
    """What a point is, which decides how it is aggregated."""

    GAUGE = "gauge"
    COUNTER = "counter"
    STATE = "state"
    SETPOINT = "setpoint"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples as four arrays of one length.

    series: int32 series ids. time: int64 UTC nanoseconds. value: float64, NaN where the quality is bad.
    quality: uint8 codes of `Quality`.
    """

    series: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.series)

    @classmethod
    def of(cls, series: ArrayLike, time: ArrayLike, value: ArrayLike, quality: ArrayLike = 0) -> Self:
        """Build a batch; `time` and `quality` may be scalars that hold for every row."""
        ids = np.asarray(series, np.int32)
        return cls(
            series=ids,
            time=np.broadcast_to(np.asarray(time, np.int64), ids.shape).copy(),
            value=np.broadcast_to(np.asarray(value, np.float64), ids.shape).copy(),
            quality=np.broadcast_to(np.asarray(quality, np.uint8), ids.shape).copy(),
        )

    @classmethod
    def empty(cls) -> Self:
        return cls.of([], 0, [])

    @classmethod
    def concat(cls, batches: Sequence[Batch]) -> Self:
        """Join batches in the order given."""
        if not batches:
            return cls.empty()
        return cls(
            series=np.concatenate([b.series for b in batches]),
            time=np.concatenate([b.time for b in batches]),
            value=np.concatenate([b.value for b in batches]),
            quality=np.concatenate([b.quality for b in batches]),
        )


class Settings(BaseModel):
    """Base of every driver's link, device and point settings: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def point_defaults(self, name: str, own: Mapping[str, object]) -> Mapping[str, object]:
        """Keys that a device's settings imply for a point it names (an MQTT preset). own: those written."""
        return {}


@dataclass(frozen=True, slots=True)
class Point:
    """One readable quantity of a device.

    source: the driver's own point settings (register, object, topic). unit: the canonical unit the gateway
    stores; source_unit: what the device reports. A driver delivers values in `source_unit`.
    """

    series: int
    device: str
    name: str
    source: Settings
    quantity: str
    unit: str
    source_unit: str
    kind: Kind = Kind.GAUGE
    cov: float | None = None


@dataclass(frozen=True, slots=True)
class PollGroup:
    """The points of one device that share a cadence: the unit of scheduling."""

    device: str
    every_s: float
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """One addressable thing on a link, with its points grouped by cadence."""

    name: str
    settings: Settings
    groups: tuple[PollGroup, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(point for group in self.groups for point in group.points)


class FaultCode(StrEnum):
    """Why a device or point gave no value. The page has words for each (gateway/web/words.py)."""

    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    NO_SUCH_ADDRESS = "no_such_address"
    BUSY = "busy"
    GARBLED = "garbled"
    NO_SUCH_OBJECT = "no_such_object"
    SILENT = "silent"
    BAD_PAYLOAD = "bad_payload"
    CERTIFICATE = "certificate"
    DENIED = "denied"
    DEVICE_ERROR = "device_error"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as data: a code for the words, and the protocol's own detail for the expert."""

    code: FaultCode
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one poll brought.

    batch: one row for each point of the group, good or bad. fault: set when the device as a whole did not
    answer. point_faults: by series id, for points that are bad though the device answers. raw: by series
    id, the bytes as read, only when the poll was traced.
    """

    batch: Batch
    latency_s: float
    fault: Fault | None = None
    point_faults: Mapping[int, Fault] = field(default_factory=dict)
    raw: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a driver brings unasked (MQTT messages, BACnet change of value).

    fault: set when the device as a whole is known to be gone (the broker is lost); its points are then bad.
    committed: called on the event loop once the batch is on disk; a driver that owes its peer an
    acknowledgement (MQTT QoS 1) gives it there and nowhere else.
    """

    device: str
    batch: Batch
    point_faults: Mapping[int, Fault] = field(default_factory=dict)
    committed: Callable[[], None] | None = None
    fault: Fault | None = None


Deliver = Callable[[Delivery], Awaitable[None]]
Now = Callable[[], int]
"""UTC now in nanoseconds. Drivers get their time from here, so that tests can step it."""


class Driver(Protocol):
    """One link. All methods run on the gateway's event loop and never block it.

    open() starts the link and returns without waiting for an absent peer. assign() replaces the device
    set: a device whose settings did not change keeps its connection and what was learned of it. poll()
    never raises for what the field does wrong: that is a `Fault`. close() ends everything open() started.
    """

    async def open(self, deliver: Deliver) -> None: ...

    async def assign(self, devices: Sequence[Device]) -> None: ...

    async def poll(self, group: PollGroup, *, trace: bool = False) -> PollResult: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Write:
    """One command to a point, in `source_unit`. value None gives the slot up (BACnet relinquish).

    priority: the BACnet slot, 1 highest to 16; other protocols have none.
    """

    point: Point
    value: float | None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of a write: accepted when `fault` is None.

    read_back: the value found right after it. active_priority: the slot in force then, None where there is
    none; one above the command's (a smaller number) says that somebody else holds the point.
    """

    latency_s: float
    fault: Fault | None = None
    read_back: float | None = None
    active_priority: int | None = None


class Writer(Protocol):
    """A driver that can write. Nothing calls it unless the point's configuration allows writing."""

    async def write(self, command: Write) -> WriteResult: ...


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of the gateway's own, offered to other systems.

    key: its id, for life (the KPI id). name: for people. value: None where there is none now. unit:
    canonical. attributes: what is shown beside it (target, status, evidence).
    """

    key: str
    name: str
    value: float | None
    unit: str
    attributes: Mapping[str, str | float | None] | None = None


@runtime_checkable
class Publisher(Protocol):
    """A driver that can offer the gateway's figures on its link, when the link's settings say so."""

    def publish(self, figures: Sequence[Figure]) -> object: ...


class Memory(Protocol):
    """What drivers learn of devices (holes, limits, lost features), kept over restarts by whoever has a disk.

    key: device name and what it is about ("main-meter/limit"); value: the driver's own text, None forgets.
    """

    def recall(self, key: str) -> str | None: ...

    def learn(self, key: str, value: str | None) -> None: ...


class NoMemory:
    """Forgets everything: for tests and one-off commands."""

    def recall(self, key: str) -> str | None:
        return None

    def learn(self, key: str, value: str | None) -> None:
        return None


def all_bad(group: PollGroup, at_ns: int, fault: Fault, quality: Quality, latency_s: float) -> PollResult:
    """The result of a poll that brought nothing: every point bad, for one reason."""
    series = [point.series for point in group.points]
    return PollResult(Batch.of(series, at_ns, np.nan, int(quality)), latency_s, fault)


class DriverError(Exception):
    """Base of what drivers raise.

    DriverError
    +-- LinkError        the link itself cannot work as configured (no such serial port, bad certificate)
    """


class LinkError(DriverError):
    """The link cannot work as configured; the message says what to change."""
