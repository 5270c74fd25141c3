"""The frames between gateway and worker."""

from __future__ import annotations

import io

import numpy as np
import pytest

from gateway.kpi.messages import (
    MAX_FRAME,
    ComputedIntervals,
    Done,
    Refresh,
    body_length,
    decode_from_worker,
    frame,
    read_to_worker,
)
from gateway.store.columns import IntervalBlock, Intervals


def test_interval_columns_survive_the_pipe_bit_by_bit() -> None:
    n = 5
    values = np.array([0.1, np.nan, np.inf, -0.0, 1e300])
    sent = IntervalBlock(7, "15m", Intervals(np.arange(n), *([values] * 6), np.arange(n).astype(np.uint16)))
    message = decode_from_worker(frame(ComputedIntervals.of(sent))[4:])
    assert isinstance(message, ComputedIntervals)
    got = message.block()
    assert (got.series, got.resolution) == (7, "15m")
    for name in ("start", "mean", "min", "max", "delta", "count", "completeness", "flags"):
        assert getattr(got.intervals, name).tobytes() == getattr(sent.intervals, name).tobytes()


def test_a_stream_that_ends_inside_a_frame_is_the_end() -> None:
    whole = frame(Refresh(now=1, closed_until=0))
    assert read_to_worker(io.BytesIO(whole)) == Refresh(now=1, closed_until=0)
    assert read_to_worker(io.BytesIO(whole[:-1])) is None
    assert read_to_worker(io.BytesIO(b"")) is None


def test_a_frame_that_announces_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="over the limit"):
        body_length((MAX_FRAME + 1).to_bytes(4, "big"))


def test_a_done_frame_carries_its_error() -> None:
    assert decode_from_worker(frame(Done(1.5, "no disk"))[4:]) == Done(1.5, "no disk")
