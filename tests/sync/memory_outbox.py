"""An outbox in memory: what a store promises the sender, without the disk."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sync.outbox import DeadLetter, Fact, Parcel, SampleColumns, SeriesTags, SinkProgress


@dataclass
class MemoryOutbox:
    """Rows by seq. `saved` outlives a sender as the disk would."""

    rows: dict[int, SampleColumns | Fact] = field(default_factory=dict)
    saved: dict[str, SinkProgress] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    saves: int = 0

    def __post_init__(self) -> None:
        self._changed = threading.Condition()

    def commit(self, row: SampleColumns | Fact) -> int:
        with self._changed:
            seq = self.newest() + 1
            self.rows[seq] = row
            self._changed.notify_all()
            return seq

    def newest(self) -> int:
        return max(self.rows, default=0)

    def wait_beyond(self, seq: int, timeout_s: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self.newest() > seq, timeout_s)
            return self.newest()

    def read(self, first: int, last: int, max_rows: int) -> Parcel | None:
        taken: list[int] = []
        count = 0
        for seq in range(first, last + 1):
            if seq not in self.rows:
                continue
            row = self.rows[seq]
            size = 1 if isinstance(row, Fact) else len(row.series)
            if taken and count + size > max_rows:
                break
            taken.append(seq)
            count += size
        if not taken:
            return None
        held = [self.rows[seq] for seq in taken]
        samples = [row for row in held if isinstance(row, SampleColumns)]
        return Parcel(
            taken[0],
            taken[-1],
            samples=_joined(samples) if samples else None,
            facts=[row for row in held if isinstance(row, Fact)],
        )

    def tags(self, series: NDArray[np.int32]) -> Sequence[SeriesTags]:
        return [SeriesTags("temperature", "hq", f"dev-{i // 10}", f"p{i}", "degC") for i in series.tolist()]

    def progress(self, sink: str) -> SinkProgress:
        return self.saved.get(sink, SinkProgress())

    def save_progress(self, sink: str, progress: SinkProgress) -> None:
        self.saves += 1
        self.saved[sink] = progress

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self.dead.extend(letters)


def _joined(parts: Sequence[SampleColumns]) -> SampleColumns:
    return SampleColumns(
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.quality for part in parts]),
    )


def columns(series: Sequence[int], time_ns: int, value: float = 21.5, quality: int = 0) -> SampleColumns:
    """Samples of some series at one time."""
    n = len(series)
    return SampleColumns(
        np.array(series, np.int32),
        np.full(n, time_ns, np.int64),
        np.full(n, value, np.float64),
        np.full(n, quality, np.uint8),
    )
