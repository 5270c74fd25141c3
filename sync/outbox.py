"""What the sender asks of a store. It sees rows of a journal by sequence number and knows no database.

Every commit has a rising `seq`. A sink acknowledges inclusive ranges of seq; an acknowledged range is
*settled* once it is older than the settle window, for a server's 204 is not its disk. After a lost
connection the sender takes back what is not settled and sends it again: at the database the same series
and time is the same point, so sending twice stores once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SeriesTags:
    """How a series is named at the sink: measurement = quantity, then the tags in this order."""

    quantity: str
    site: str
    device: str
    point: str
    unit: str


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """Raw samples: series int32, time int64 UTC ns, value float64 (NaN where bad), quality uint8."""

    series: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class IntervalRows:
    """Intervals of one resolution ('1m', '15m', '1h', '1d'), newest revision, many series.

    columns: 'mean', 'min', 'max', 'delta', 'count', 'completeness' -> float64; NaN = field absent.
    """

    resolution: str
    series: NDArray[np.int32]
    start: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Fact:
    """A structured fact: numbers are sent as floats, strings as strings, None is not sent."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: Mapping[str, float | str | None]
    time: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """What the journal rows first_seq..last_seq hold, ready to be encoded.

    Dirty keys are already resolved to their newest revision, and those that a later row of the journal
    names again are left out: that row will bring them. `samples` and `n_facts` count what is inside.
    skipped: seq inside the range that could not be read (quarantined), counted, never retried.
    """

    first_seq: int
    last_seq: int
    samples: SampleColumns | None = None
    intervals: Sequence[IntervalRows] = ()
    facts: Sequence[Fact] = ()
    skipped: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A line a server refused for good, with its words; replayable."""

    sink: str
    seq: int
    line: str
    reason: str
    time: int


@dataclass(frozen=True, slots=True)
class SinkProgress:
    """A sink's persisted state. low_water: every seq up to here is settled.

    acked: (first, last, acknowledged_at_ns) ranges above it, sorted, disjoint.
    """

    low_water: int = 0
    acked: tuple[tuple[int, int, int], ...] = field(default_factory=tuple)


class Outbox(Protocol):
    """Thread-safe; called from the sender's threads, blocking for milliseconds."""

    def newest(self) -> int:
        """The highest committed seq; 0 when nothing was ever committed."""
        ...

    def wait_beyond(self, seq: int, timeout_s: float) -> int:
        """Wait until something newer than `seq` is committed or the time is over; the newest seq."""
        ...

    def read(self, first: int, last: int, max_rows: int) -> Parcel | None:
        """Whole journal rows of first..last, about `max_rows` lines; None when there are none."""
        ...

    def tags(self, series: NDArray[np.int32]) -> Sequence[SeriesTags]:
        """The tags of each series id, one for each element."""
        ...

    def progress(self, sink: str) -> SinkProgress:
        """The sink's persisted progress; a sink never seen before starts at the oldest row that is kept."""
        ...

    def save_progress(self, sink: str, progress: SinkProgress) -> None:
        """Persist the progress durably before returning."""
        ...

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep refused lines durably, before the range they came from is acknowledged."""
        ...
