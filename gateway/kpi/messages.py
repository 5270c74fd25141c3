"""The frames between the gateway and its KPI worker: msgpack behind a 4-byte length, over pipes.

Gateway to worker: SiteModel (first, and whenever the configuration changes), Refresh. Worker to gateway:
Ready, any number of ComputedIntervals and ComputedKpis, then Done. Columns travel as their raw bytes.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec
import numpy as np

from gateway.records import KpiResult
from gateway.store.columns import IntervalBlock, Intervals

MAX_FRAME = 64 << 20
_LENGTH = struct.Struct(">I")
_FLOATS = ("mean", "min", "max", "delta", "count", "completeness")


class PointModel(msgspec.Struct, frozen=True):
    """A point as the worker needs it. modulus, max_rate [unit/h]: None where unknown. hold_s: how long a
    sample speaks for its point."""

    series: int
    device: str
    point: str
    kind: str
    hold_s: float
    modulus: float | None = None
    max_rate: float | None = None


class RoleModel(msgspec.Struct, frozen=True):
    """A role: its own series, its expression's text, and what it counts. minutes: whether it and its points
    get 1-minute intervals."""

    series: int
    name: str
    expression: str
    kind: str
    unit: str
    minutes: bool = False


class SiteModel(msgspec.Struct, frozen=True, tag="site"):
    """Everything the worker must know of the site. Dates are ISO texts, inclusive, '' where not set.
    holidays: the country, with its region, whose public holidays count as Sundays; '' = none."""

    site: str
    timezone: str
    store: str
    area_m2: float | None
    points: tuple[PointModel, ...]
    roles: tuple[RoleModel, ...]
    heartbeat: int | None
    heartbeat_hold_s: float
    baseline_from: str = ""
    baseline_to: str = ""
    retrofit: str = ""
    targets: dict[str, float] = {}
    factors: dict[str, str] = {}
    holidays: str = ""


class Refresh(msgspec.Struct, frozen=True, tag="refresh"):
    """Compute what is new. closed_until: UTC ns up to which intervals are complete; dirty: (series, start,
    end) spans whose samples changed; history_changed: stored intervals changed, read them again."""

    now: int
    closed_until: int
    history_changed: bool = False
    dirty: tuple[tuple[int, int, int], ...] = ()


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has its kernels."""

    pid: int


class ComputedIntervals(msgspec.Struct, frozen=True, tag="intervals"):
    """New or changed intervals of one series. columns: the eight columns' bytes, in their order."""

    series: int
    resolution: str
    columns: tuple[bytes, ...]

    @classmethod
    def of(cls, block: IntervalBlock) -> ComputedIntervals:
        i = block.intervals
        columns = (i.start, *(getattr(i, name) for name in _FLOATS), i.flags)
        return cls(block.series, block.resolution, tuple(np.ascontiguousarray(c).tobytes() for c in columns))

    def block(self) -> IntervalBlock:
        """The block again; its columns are read-only views of the frame."""
        start, *floats, flags = self.columns
        named = {n: np.frombuffer(c, np.float64) for n, c in zip(_FLOATS, floats, strict=True)}
        stamps, bits = np.frombuffer(start, np.int64), np.frombuffer(flags, np.uint16)
        intervals = Intervals(start=stamps, flags=bits, **named)
        return IntervalBlock(self.series, self.resolution, intervals)


class ComputedKpis(msgspec.Struct, frozen=True, tag="kpis"):
    """KPI results that are new or differ from those sent before."""

    results: tuple[KpiResult, ...]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The refresh is finished. seconds: what it took; error: why it could not, '' when it could."""

    seconds: float
    error: str = ""


ToWorker = SiteModel | Refresh
FromWorker = Ready | ComputedIntervals | ComputedKpis | Done

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def frame(message: ToWorker | FromWorker) -> bytes:
    """A message with its length in front. Raises ValueError beyond 64 MiB."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ValueError(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


def body_length(head: bytes) -> int:
    """The length that a frame's first 4 bytes announce. Raises ValueError beyond 64 MiB."""
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise ValueError(f"a frame announces {length} bytes, over the limit of {MAX_FRAME}")
    return int(length)


def decode_from_worker(body: bytes) -> FromWorker:
    return _from_worker.decode(body)


def read_to_worker(stream: BinaryIO) -> ToWorker | None:
    """The next message for the worker; None at the end of the stream, even in the middle of a frame."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    body = stream.read(body_length(head))
    return _to_worker.decode(body) if len(body) == body_length(head) else None
