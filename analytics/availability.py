"""Availability: what share of the agreed time the system was up, and how often and how long it was not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.int64]
"""Disjoint ascending [start, end) spans of UTC ns, shape (n, 2)."""

HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Availability:
    """availability: fraction, NaN without agreed time. mtbf_h, mttr_min: None without a failure."""

    availability: float
    agreed_ns: int
    down_ns: int
    failures: int
    mtbf_h: float | None
    mttr_min: float | None


def heartbeat_spans(beats: NDArray[np.int64], hold_ns: int) -> Spans:
    """Spans covered by heartbeats that each prove the system alive for `hold_ns`: shape (n, 2).

    beats: UTC ns, any order. Silence longer than the hold is downtime: unknown is not up.
    """
    if len(beats) == 0:
        return np.zeros((0, 2), np.int64)
    stamps = np.unique(beats)
    breaks = np.flatnonzero(np.diff(stamps) > hold_ns)
    starts = stamps[np.concatenate([[0], breaks + 1])]
    ends = stamps[np.concatenate([breaks, [len(stamps) - 1]])] + hold_ns
    return np.column_stack([starts, ends])


def merge_spans(spans: Spans) -> Spans:
    """The union of spans in any order, overlapping or not, as disjoint ascending ones."""
    if len(spans) == 0:
        return np.zeros((0, 2), np.int64)
    ordered = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    first = np.concatenate([[True], ordered[1:, 0] > reach[:-1]])
    starts = ordered[first, 0]
    last = np.concatenate([np.flatnonzero(first)[1:] - 1, [len(ordered) - 1]])
    return np.column_stack([starts, reach[last]])


def availability(up: Spans, agreed_start: int, agreed_end: int) -> Availability:
    """A = 1 - downtime / agreed time over [agreed_start, agreed_end).

    up: when the system was known to be up. MTBF = uptime / failures, MTTR = downtime / failures; without a
    failure neither exists.
    """
    agreed = max(0, agreed_end - agreed_start)
    if agreed == 0:
        return Availability(float("nan"), 0, 0, 0, None, None)
    spans = merge_spans(up)
    clipped = np.clip(spans, agreed_start, agreed_end)
    clipped = clipped[clipped[:, 1] > clipped[:, 0]]
    up_ns = int((clipped[:, 1] - clipped[:, 0]).sum())
    gaps = 1 + len(clipped)
    if len(clipped) == 0:
        gaps = 1
    else:
        gaps -= int(clipped[0, 0] == agreed_start) + int(clipped[-1, 1] == agreed_end)
    down = agreed - up_ns
    if gaps == 0:
        return Availability(1.0, agreed, 0, 0, None, None)
    return Availability(
        1.0 - down / agreed, agreed, down, gaps, up_ns / gaps / HOUR_NS, down / gaps / (HOUR_NS / 60)
    )
