"""Interval history from outside (a utility's load curve, another system's export, the demo's past).

Whoever has history drops a file into the *spool*, a folder beside the store; the running gateway takes
files from it one by one, in small bites between its other work, and removes a file once all of it is
committed. A gateway killed in between imports the file again: an interval imported twice is one interval.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from gateway.status import ImportStatus
from gateway.store.columns import RESOLUTIONS, IntervalBlock, Intervals

log = logging.getLogger(__name__)

SUFFIX = ".intervals.npz"
BITE_ROWS = 20_000


class SpoolError(Exception):
    """A spool file that cannot be read as one; it is set aside, not deleted."""


class IntervalStore(Protocol):
    """The store, as the import needs it."""

    async def put_intervals(self, blocks: list[IntervalBlock], *, bulk: bool = False) -> int: ...


@dataclass(frozen=True, slots=True)
class PastIntervals:
    """History of one point: columns as in gateway.store.columns.Intervals, absent ones are NaN."""

    device: str
    point: str
    resolution: str
    columns: Mapping[str, NDArray[np.generic]]


class _Entry(msgspec.Struct, frozen=True):
    device: str
    point: str
    resolution: str
    rows: int


def write_spool(folder: Path, name: str, past: Iterable[PastIntervals]) -> Path:
    """Drop history into a spool folder; it appears there whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.generic]] = {}
    entries: list[_Entry] = []
    for index, block in enumerate(past):
        entries.append(_Entry(block.device, block.point, block.resolution, len(block.columns["start"])))
        arrays.update({f"{index}.{column}": values for column, values in block.columns.items()})
    arrays["index"] = np.frombuffer(msgspec.json.encode(entries), np.uint8)
    partial = folder / f".{name}.partial"
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    return partial.rename(folder / f"{name}{SUFFIX}")


class Importer:
    """Takes the spool's files into the store. progress: what is under way, None when nothing is."""

    def __init__(self, spool: Path, store: IntervalStore, imported_flag: int) -> None:
        self._spool = spool
        self._store = store
        self._flag = imported_flag
        self.progress: ImportStatus | None = None

    def waiting(self) -> list[Path]:
        """Files to import, the oldest name first."""
        return sorted(self._spool.glob(f"*{SUFFIX}"))

    async def take(self, series: Mapping[tuple[str, str], int]) -> int:
        """Import every waiting file; the number of interval rows taken."""
        return sum([await self._take_file(path, series) for path in self.waiting()])

    async def _take_file(self, path: Path, series: Mapping[tuple[str, str], int]) -> int:
        done = 0
        try:
            with _opened(path) as archive:
                entries = _known_entries(path, archive, series)
                total = sum(entry.rows for entry in entries.values())
                self.progress = ImportStatus(done=0, total=total)
                for index, entry in entries.items():
                    intervals = _intervals(path, archive, index, entry.rows, self._flag)
                    for bite in _bites(intervals):
                        block = IntervalBlock(series[entry.device, entry.point], entry.resolution, bite)
                        await self._store.put_intervals([block], bulk=True)
                        done += len(bite)
                        self.progress = ImportStatus(done=done, total=total)
        except SpoolError as error:
            log.error("%s; set aside", error)
            _set_aside(path)
            return done
        finally:
            self.progress = None
        _remove(path)
        log.info("imported %d intervals from %s", done, path.name)
        return done


def _set_aside(path: Path) -> None:
    path.rename(path.with_suffix(".unreadable"))


def _remove(path: Path) -> None:
    path.unlink()


@contextmanager
def _opened(path: Path) -> Iterator[NpzFile]:
    """The file's archive. Raises SpoolError."""
    with ExitStack() as opened:
        with _unreadable_is_spool_error(path):
            archive = np.load(opened.enter_context(path.open("rb")))
            if not isinstance(archive, NpzFile):
                raise ValueError("one array, no archive")
        yield opened.enter_context(archive)


@contextmanager
def _unreadable_is_spool_error(path: Path) -> Iterator[None]:
    """A damaged file shows in many ways, some of them only when its last column is read."""
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, msgspec.DecodeError) as error:
        raise SpoolError(f"{path}: not a history file ({error})") from error


def _known_entries(path: Path, archive: NpzFile, series: Mapping[tuple[str, str], int]) -> dict[int, _Entry]:
    """The file's blocks by their number, those of configured points. Raises SpoolError."""
    with _unreadable_is_spool_error(path):
        entries = msgspec.json.decode(archive["index"].tobytes(), type=list[_Entry])
        for entry in entries:
            if entry.resolution not in RESOLUTIONS:
                raise ValueError(f"unknown resolution {entry.resolution}")
    known = {}
    for index, entry in enumerate(entries):
        if (entry.device, entry.point) in series:
            known[index] = entry
        else:
            log.warning(
                "%s: point %s/%s is not configured; its history is left out", path, entry.device, entry.point
            )
    return known


def _intervals(path: Path, archive: NpzFile, index: int, rows: int, flag: int) -> Intervals:
    """One block of the file. Raises SpoolError."""

    def column(name: str, absent: float) -> NDArray[np.float64]:
        key = f"{index}.{name}"
        values = np.ascontiguousarray(archive[key], np.float64) if key in archive else np.full(rows, absent)
        if values.shape != (rows,):
            raise ValueError(f"column {key} has not {rows} rows")
        return values

    with _unreadable_is_spool_error(path):
        start = np.ascontiguousarray(archive[f"{index}.start"], np.int64)
        if start.shape != (rows,):
            raise ValueError(f"column {index}.start has not {rows} rows")
        return Intervals(
            start=start,
            mean=column("mean", np.nan),
            min=column("min", np.nan),
            max=column("max", np.nan),
            delta=column("delta", np.nan),
            count=column("count", 1.0),
            completeness=column("completeness", 100.0),
            flags=np.full(rows, flag, np.uint16),
        )


def _bites(intervals: Intervals) -> Iterator[Intervals]:
    for first in range(0, len(intervals), BITE_ROWS):
        part = slice(first, first + BITE_ROWS)
        yield Intervals(*(getattr(intervals, column.name)[part] for column in fields(Intervals)))
