"""Which journal rows a sink has: acknowledged ranges, what of them is settled, what is still to send.

Invariants, held after every operation:
1. every seq up to `low_water` is settled;
2. the ranges above it are sorted, disjoint, and none begins at or below `low_water`;
3. an acknowledged range is settled once the sink was in contact, unbroken, `settle_ns` after it acknowledged;
4. what is neither below `low_water` nor in a range is still to be sent.

Times are UTC ns. "As of" is the time of the last unbroken contact with the server, never the time on the
wall: a server that died unseen five seconds after its 204 must not settle anything by being away.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from sync.outbox import SinkProgress

Range = tuple[int, int, int]
"""(first, last, acknowledged_at_ns), both ends inclusive."""

BUCKETS_PER_WINDOW = 16
"""Neighbours acknowledged in the same sixteenth of a settle window are kept as one range."""


class AckedRanges:
    """The acknowledged rows of one sink. Not thread-safe: one sender owns it.

    settle_ns: how long after its acknowledgement a range is believed to be on the server's disk [ns].
    """

    def __init__(self, settle_ns: int, progress: SinkProgress | None = None) -> None:
        start = progress or SinkProgress()
        self._settle_ns = settle_ns
        self._bucket_ns = max(1, settle_ns // BUCKETS_PER_WINDOW)
        self._low_water = start.low_water
        self._ranges: list[Range] = []
        for first, last, at in start.acked:
            self.acknowledge(first, last, at)

    @classmethod
    def from_progress(cls, progress: SinkProgress, settle_ns: int) -> Self:
        return cls(settle_ns, progress)

    def to_progress(self) -> SinkProgress:
        """The state to persist."""
        return SinkProgress(self._low_water, tuple(self._ranges))

    @property
    def low_water(self) -> int:
        """Every seq up to here is settled."""
        return self._low_water

    def acknowledge(self, first: int, last: int, at_ns: int) -> None:
        """Note that rows first..last are at the sink since `at_ns`; a newer time replaces an older one."""
        first = max(first, self._low_water + 1)
        if first > last:
            return
        kept = [piece for held in self._ranges for piece in _without(held, first, last)]
        kept.insert(bisect_left(kept, (first,)), (first, last, at_ns))
        self._ranges = _merged(kept, self._same_bucket)

    def settle(self, as_of_ns: int) -> None:
        """Raise the low-water mark over what is settled; join settled neighbours that wait behind a gap.

        A time in the future means that the clock was stepped back: it is taken as `as_of_ns`, so that the
        window is waited out once more instead of for the length of the step.
        """
        ranges = [(first, last, min(at, as_of_ns)) for first, last, at in self._ranges]
        ranges = _merged(
            ranges, lambda one, other: self._settled(one[2], as_of_ns) and self._settled(other[2], as_of_ns)
        )
        if ranges and ranges[0][0] == self._low_water + 1 and self._settled(ranges[0][2], as_of_ns):
            self._low_water = ranges.pop(0)[1]
        self._ranges = ranges

    def take_back_unsettled(self, as_of_ns: int) -> list[tuple[int, int]]:
        """Forget what the server may have lost; the (first, last) ranges that must be sent again."""
        self.settle(as_of_ns)
        lost = [held for held in self._ranges if not self._settled(held[2], as_of_ns)]
        self._ranges = [held for held in self._ranges if self._settled(held[2], as_of_ns)]
        return [(first, last) for first, last, _ in lost]

    def gaps(self, upto: int) -> Iterator[tuple[int, int]]:
        """What is still to be sent of everything up to `upto`, oldest first, as inclusive ranges."""
        expected = self._low_water + 1
        for first, last, _ in self._ranges:
            if first > upto:
                break
            if first > expected:
                yield expected, first - 1
            expected = last + 1
        if expected <= upto:
            yield expected, upto

    def missing(self, upto: int) -> int:
        """How many seq up to `upto` are not acknowledged."""
        return sum(last - first + 1 for first, last in self.gaps(upto))

    def newest_unsettled_ns(self, as_of_ns: int) -> int | None:
        """When the youngest unsettled range was acknowledged; None when all of them are settled."""
        times = [at for _, _, at in self._ranges if not self._settled(at, as_of_ns)]
        return max(times, default=None)

    def _settled(self, at_ns: int, as_of_ns: int) -> bool:
        return as_of_ns - at_ns >= self._settle_ns

    def _same_bucket(self, one: Range, other: Range) -> bool:
        return one[2] // self._bucket_ns == other[2] // self._bucket_ns


def _without(held: Range, first: int, last: int) -> Iterator[Range]:
    """What remains of `held` when first..last is cut out of it."""
    if held[0] < first:
        yield held[0], min(held[1], first - 1), held[2]
    if held[1] > last:
        yield max(held[0], last + 1), held[1], held[2]


def _merged(ranges: Iterable[Range], may_join: Callable[[Range, Range], bool]) -> list[Range]:
    """Join touching neighbours where allowed; the joined range keeps the later time."""
    out: list[Range] = []
    for held in ranges:
        if out and out[-1][1] + 1 == held[0] and may_join(out[-1], held):
            first, _, at = out[-1]
            out[-1] = (first, held[1], max(at, held[2]))
        else:
            out.append(held)
    return out
