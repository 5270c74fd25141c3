"""The history: month files with chunks of samples and blocks of intervals.

A chunk is one series' samples in time order. A block is one series' intervals of one UTC day (fine
resolutions) or month (1h, 1d), the newest revision of each, with the journal seq that names it last.
`pending` holds journal rows that must exist because of what this file holds: written in the same
transaction, removed when the journal has them, journalled again at open when a crash came between.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from drivers.base import Batch
from gateway.store.codec import Codec
from gateway.store.columns import INTERVAL_COLUMNS, RESOLUTIONS, Intervals
from gateway.store.errors import CorruptBlobError

SCHEMA = """
CREATE TABLE IF NOT EXISTS chunk(
    id INTEGER PRIMARY KEY, series INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    n INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS chunk_place ON chunk(series, first);
CREATE INDEX IF NOT EXISTS chunk_small ON chunk(series) WHERE n < 1024;
CREATE TABLE IF NOT EXISTS interval(
    series INTEGER NOT NULL, resolution INTEGER NOT NULL, block INTEGER NOT NULL, n INTEGER NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(series, resolution, block)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending(
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, n INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS note(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

DAY_NS = 86_400 * 1_000_000_000
RESOLUTION_CODES = {name: code for code, name in enumerate(RESOLUTIONS)}
"""On disk: 0 = 1m, 1 = 15m, 2 = 1h, 3 = 1d. New ones go to the end."""
RESOLUTION_NAMES = tuple(RESOLUTIONS)
_FINE = RESOLUTION_CODES["15m"]
"""Up to this code a block is a day."""
_BLOCK_LAYOUT = "i" + "f" * len(INTERVAL_COLUMNS) + "ii"
_PREFIX = "history-"
_MONTH_FILE = re.compile(rf"{_PREFIX}(\d{{4}})-(\d\d)\.db", re.ASCII)

MonthKey = tuple[int, int]


def month_of(time_ns: int) -> MonthKey:
    """The UTC month that a time belongs to."""
    at = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return at.year, at.month


@lru_cache
def month_start(month: MonthKey) -> int:
    """UTC ns at which a month begins."""
    return int(datetime(*month, 1, tzinfo=UTC).timestamp()) * 1_000_000_000


def month_after(month: MonthKey) -> MonthKey:
    year, number = month
    return (year + 1, 1) if number == 12 else (year, number + 1)


def month_path(folder: Path, month: MonthKey) -> Path:
    return folder / f"{_PREFIX}{month[0]:04d}-{month[1]:02d}.db"


def month_files(folder: Path) -> list[tuple[MonthKey, Path]]:
    """The month files there are, oldest first."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - every read asks for them, and paths take ten times longer
    except FileNotFoundError:
        return []
    return list(_month_files(folder, tuple(names)))


@lru_cache(maxsize=8)
def _month_files(folder: Path, names: tuple[str, ...]) -> tuple[tuple[MonthKey, Path], ...]:
    """The month files among the names; a folder has the same ones for weeks."""
    matches = [_MONTH_FILE.fullmatch(name) for name in names]
    months = sorted((int(found[1]), int(found[2])) for found in matches if found)
    return tuple((month, month_path(folder, month)) for month in months)


def split_by_month(time: NDArray[np.int64]) -> Iterator[tuple[MonthKey, NDArray[np.bool_] | None]]:
    """Months in a time column, each with its mask; None as the mask when one month has them all."""
    if len(time) == 0:
        return
    month = month_of(int(time.min()))
    final = month_of(int(time.max()))
    if month == final:
        yield month, None
        return
    while month <= final:
        mask = (time >= month_start(month)) & (time < month_start(month_after(month)))
        if mask.any():
            yield month, mask
        month = month_after(month)


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one series: time int64 UTC ns, value float64 (NaN where bad), quality uint8."""

    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def empty(cls) -> Samples:
        return cls(np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8))

    @classmethod
    def concat(cls, parts: list[Samples]) -> Samples:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([p.time for p in parts]),
            np.concatenate([p.value for p in parts]),
            np.concatenate([p.quality for p in parts]),
        )

    @classmethod
    def of_batch(cls, batch: Batch) -> Samples:
        return cls(batch.time, batch.value, batch.quality)

    def take(self, chosen: NDArray[np.generic] | slice) -> Samples:
        return Samples(self.time[chosen], self.value[chosen], self.quality[chosen])

    def in_order(self) -> Samples:
        """Sorted by time; of several samples at one time the last written stays."""
        if len(self) < 2:
            return self
        steps = np.diff(self.time)
        if (steps > 0).all():
            return self
        ordered = self if (steps >= 0).all() else self.take(np.argsort(self.time, kind="stable"))
        last_of_time = np.append(ordered.time[1:] != ordered.time[:-1], True)
        return ordered.take(last_of_time)


def encode_chunk(codec: Codec, samples: Samples) -> bytes:
    return codec.encode([samples.time, samples.value, samples.quality])


def decode_chunk(codec: Codec, body: bytes, n: int, crc: int) -> Samples:
    """Raises CorruptBlobError."""
    check(body, crc)
    time, value, quality = codec.decode(body, n, "ifi")
    return Samples(time, value, quality.astype(np.uint8))  # type: ignore[arg-type]


def checksum(body: bytes) -> int:
    return int(google_crc32c.value(body))


def check(body: bytes, crc: int) -> None:
    """Raises CorruptBlobError when the body is not what was stored."""
    if checksum(body) != crc:
        raise CorruptBlobError("CRC32C differs")


@dataclass(frozen=True, slots=True)
class Block:
    """Intervals stored together, with the journal seq that names each last."""

    intervals: Intervals
    seq: NDArray[np.int64]


def encode_block(codec: Codec, block: Block) -> bytes:
    columns = block.intervals
    floats = [getattr(columns, name) for name in INTERVAL_COLUMNS]
    return codec.encode([columns.start, *floats, columns.flags, block.seq])


def decode_block(codec: Codec, body: bytes, n: int, crc: int) -> Block:
    """Raises CorruptBlobError."""
    check(body, crc)
    start, *floats, flags, seq = codec.decode(body, n, _BLOCK_LAYOUT)
    return Block(_intervals(start, floats, flags), seq)  # type: ignore[arg-type]


def take_intervals(intervals: Intervals, chosen: NDArray[np.generic] | slice) -> Intervals:
    """The chosen rows."""
    columns = [getattr(intervals, name)[chosen] for name in INTERVAL_COLUMNS]
    return _intervals(intervals.start[chosen], columns, intervals.flags[chosen])


def concat_intervals(parts: list[Intervals]) -> Intervals:
    """Join in the order given; no parts make an empty one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        nothing = np.empty(0, np.float64)
        return _intervals(np.empty(0, np.int64), [nothing] * len(INTERVAL_COLUMNS), nothing)
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in INTERVAL_COLUMNS]
    start = np.concatenate([p.start for p in parts])
    return _intervals(start, columns, np.concatenate([p.flags for p in parts]))


def _intervals(start: Any, columns: Sequence[Any], flags: Any) -> Intervals:
    named = dict(zip(INTERVAL_COLUMNS, columns, strict=True))
    return Intervals(start=start, flags=flags.astype(np.uint16), **named)


def merge_blocks(old: Block | None, new: Block) -> Block:
    """The newest revision of each interval: what is new replaces what is old, by start."""
    both = (
        new
        if old is None
        else Block(concat_intervals([old.intervals, new.intervals]), np.concatenate([old.seq, new.seq]))
    )
    start = both.intervals.start
    order = np.argsort(start, kind="stable")
    ordered = start[order]
    newest = order[np.append(ordered[1:] != ordered[:-1], True)] if len(order) else order
    return Block(take_intervals(both.intervals, newest), both.seq[newest])


def block_of(resolution: int, month: MonthKey, start: NDArray[np.int64]) -> NDArray[np.int64]:
    """The block that each interval start of one month belongs to [UTC ns of the block's begin]."""
    if resolution <= _FINE:
        return start // DAY_NS * DAY_NS
    return np.full(len(start), month_start(month), np.int64)


def read_block(
    db: sqlite3.Connection, codec: Codec, series: int, resolution: int, block: int
) -> Block | None:
    """One stored block. Raises CorruptBlobError."""
    row = db.execute(
        "SELECT body, n, crc FROM interval WHERE series=? AND resolution=? AND block=?",
        (series, resolution, block),
    ).fetchone()
    return decode_block(codec, *row) if row else None
