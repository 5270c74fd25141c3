"""How fast samples become durable, and how fast they are read back.

Every commit has 1,000 samples, one of each series, and is on disk (synchronous=FULL) before the next begins:
what a gateway with 1,000 points at 1 s does. The references commit the same samples: a row a sample in
SQLite with the same settings, and a bare append with fdatasync, under which no durable store can go.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import Figure, Options, interleave, ratios, wall_turn
from benchmarks.samples import column, polls, series_specs
from drivers.base import Batch
from gateway.site import StoreSettings
from gateway.store.database import size_with_wal
from gateway.store.history import month_files
from gateway.store.reader import Reader
from gateway.store.store import Store

LIBRARIES = ("numpy", "zstandard", "google-crc32c")
SERIES = 1000
START_NS = 1_735_689_600 * 10**9
"""2025-01-01: all samples of a turn fall in one month."""
DAY_S = 86_400


def run(options: Options) -> dict[str, Figure]:
    """Commit, journal and history size, bytes written, reading one series back."""
    commits, rounds = options.choose(400, 3), options.choose(5, 1)
    ids = np.arange(1, SERIES + 1, dtype=np.int32)
    batches = polls(ids, commits, START_NS)
    samples = commits * SERIES
    with tempfile.TemporaryDirectory(prefix="heyzack-bench-") as folder:
        turns = _Turns(Path(folder), batches)
        medians = interleave(
            {
                "ours": wall_turn(turns.ours),
                "ours_grouped": wall_turn(turns.ours_grouped),
                "sqlite_rows": wall_turn(turns.sqlite_rows),
                "append_fsync": wall_turn(turns.append_fsync),
            },
            rounds,
        )
        grouped = medians.pop("ours_grouped")
        sizes = _sizes(Path(folder) / "sizes", batches)
        reading = _reading(Path(folder) / "reading", options.choose(1_000_000, 2000), rounds)
    return {
        "samples_per_s": round(1 / medians["ours"]),
        "samples_per_s_grouped": round(1 / grouped),
        "commits_per_s": round(1 / medians["ours"] / SERIES, 1),
        "commit_samples": SERIES,
        "samples": samples,
        **sizes,
        **reading,
        "ratios": ratios(medians),
    }


class _Turns:
    """One turn of each candidate over the same batches, each in a fresh folder."""

    def __init__(self, folder: Path, batches: Sequence[Batch]) -> None:
        self._folder = folder
        self._batches = batches
        self._turn = 0

    def ours(self) -> float:
        """A commit at a time, each awaited."""
        store = _open(self._fresh(), commit_s=0.0)
        for batch in self._batches:
            store.submit(batch).result()
        return self._close(store)

    def ours_grouped(self) -> float:
        """As the gateway does under load: what waits shares a commit, up to 10,000 samples."""
        store = _open(self._fresh())
        for future in [store.submit(batch) for batch in self._batches]:
            future.result()
        return self._close(store)

    def sqlite_rows(self) -> float:
        """A row a sample: the schema nearly every gateway begins with."""
        db = sqlite3.connect(self._fresh() / "rows.db", isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE sample(series INTEGER, time INTEGER, value REAL, quality INTEGER)")
        for batch in self._batches:
            rows = zip(
                batch.series.tolist(),
                batch.time.tolist(),
                batch.value.tolist(),
                batch.quality.tolist(),
                strict=True,
            )
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO sample VALUES(?,?,?,?)", rows)
            db.execute("COMMIT")
        db.close()
        return self._samples

    def append_fsync(self) -> float:
        """The columns as they are, a checksum, fdatasync."""
        file = os.open(self._fresh() / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for batch in self._batches:
            body = b"".join(part.tobytes() for part in (batch.series, batch.time, batch.value, batch.quality))
            os.write(file, zlib.crc32(body).to_bytes(4, "little") + body)
            os.fdatasync(file)
        os.close(file)
        return self._samples

    @property
    def _samples(self) -> float:
        return float(sum(map(len, self._batches)))

    def _fresh(self) -> Path:
        self._turn += 1
        path = self._folder / f"turn-{self._turn}"
        path.mkdir()
        return path

    def _close(self, store: Store) -> float:
        committed = store.samples_committed
        close(store)
        if committed != self._samples:
            raise RuntimeError(f"{committed} of {self._samples:.0f} samples were committed")
        return self._samples


def _open(path: Path, commit_s: float = 0.25) -> Store:
    store = Store.open(
        path, now=time.time_ns, settings=StoreSettings(path, raw_days=36_500), site="bench", commit_s=commit_s
    )
    store.catalogue.register(series_specs(SERIES))
    return store


def close(store: Store) -> None:
    """Close a store from outside of an event loop."""
    asyncio.run(store.close())


def compact(store: Store) -> None:
    """Bring all that is committed into the history."""
    asyncio.run(store.compact())


def _sizes(path: Path, batches: Sequence[Batch]) -> dict[str, Figure]:
    """What a sample takes in the journal, then in the history, and what was written to the disk for it."""
    store = _open(path, commit_s=0.0)
    samples = sum(map(len, batches))
    before = _written_bytes()
    journal_before = size_with_wal(path / "journal.db")
    for batch in batches:
        store.submit(batch).result()
    rows = store.outbox.read(1, store.outbox.newest(), samples)
    written = _written_bytes() - before
    journal = size_with_wal(path / "journal.db") - journal_before
    compact(store)
    close(store)
    assert rows is not None
    history = sum(file.stat().st_size for _, file in month_files(path))
    return {
        "bytes_per_sample": round(history / samples, 2),
        "journal_bytes_per_sample": round(journal / samples, 2),
        "written_bytes_per_sample": round(written / samples, 2),
        "written_mb_per_day_1000_per_s": round(written / samples * SERIES * DAY_S / 1e6, 1),
    }


def _written_bytes() -> int:
    """What this process has caused to be written to block devices, by the kernel's account."""
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


def _reading(path: Path, n: int, rounds: int) -> dict[str, Figure]:
    """One series of n samples, from the history's chunks into columns."""
    store = _open(path)
    store.catalogue.register(series_specs(1))
    times = START_NS + np.arange(n, dtype=np.int64) * 10**9
    values, ones = column(1, n), np.ones(n, np.int32)
    parts = [slice(at, at + 10_000) for at in range(0, n, 10_000)]
    for future in [store.submit(Batch.of(ones[p], times[p], values[p])) for p in parts]:
        future.result()
    compact(store)
    close(store)

    def read() -> float:
        with Reader(path) as reader:
            found = reader.samples(1, START_NS, START_NS + n * 10**9)
        assert np.array_equal(found.value, values)
        return float(n)

    seconds = interleave({"read": wall_turn(read)}, rounds)["read"]
    return {"read_samples_per_s": round(1 / seconds)}
