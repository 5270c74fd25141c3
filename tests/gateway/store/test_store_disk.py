"""A full or unwritable disk: no crash, memory bounded, back to disk when it can be."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.base import Batch
from gateway.store.ballast import Ballast, free_bytes
from gateway.store.reader import Reader
from gateway.store.store import HELD_IN_MEMORY, Store

SECOND = 1_000_000_000
NOON = 1_760_000_000 * SECOND
FOREVER = 2**62
MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB, unmounted at the end."""
    target = tmp_path / "disk"
    target.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(target)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield target
    subprocess.run(["umount", "-l", str(target)], check=True)


def noise(at: int, n: int = 5000) -> Batch:
    values = np.random.default_rng(at).random(n)
    return Batch.of([1] * n, NOON + at * n * SECOND + np.arange(n) * SECOND, values)


def fill_up(folder: Path) -> Path:
    """Another program's file, over all that is free."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(b"\1" * 65_536)
                file.flush()
        except OSError:
            pass
    return filler


async def test_on_a_full_disk_the_oldest_goes_and_the_newest_is_taken(open_store, small_disk: Path) -> None:
    store: Store = await open_store(small_disk / "state", max_bytes=64 * MIB, min_free=0)
    seqs = [await store.append(noise(at)) for at in range(250)]
    assert HELD_IN_MEMORY not in seqs
    assert store.status().mode == "disk"
    assert store.status().dropped > 0
    newest = store.outbox.read(250, 250, 10**9)
    assert newest is not None
    assert newest.samples is not None
    assert (newest.samples.value == noise(249).value).all()


async def test_what_is_dropped_on_a_full_disk_is_what_is_missing(open_store, small_disk: Path) -> None:
    store: Store = await open_store(small_disk / "state", max_bytes=64 * MIB, min_free=0)
    for at in range(200):
        await store.append(noise(at))
    with Reader(store.path) as reader:
        kept = len(reader.samples(1, 0, FOREVER))
    assert kept + store.status().dropped == store.status().samples_committed == 1_000_000


async def test_a_disk_filled_by_others_holds_samples_in_memory_until_there_is_room(
    open_store, small_disk: Path
) -> None:
    store: Store = await open_store(small_disk / "state", max_bytes=64 * MIB, min_free=0)
    filler = fill_up(small_disk)
    store._ballast.drop()
    fill_up(small_disk)
    seqs = [await store.append(noise(at)) for at in range(12)]
    assert HELD_IN_MEMORY in seqs
    assert store.status().mode == "memory"
    held = store.outbox.read(12, 12, 10**9)
    assert held is not None
    filler.unlink()
    assert store._writer.call(store._log.flush_memory).result()
    assert store.status().mode == "disk"
    assert await store.append(noise(12)) == 13
    with Reader(store.path) as reader:
        assert len(reader.samples(1, 0, FOREVER)) + store.status().dropped == 13 * 5000


async def test_a_read_only_disk_is_memory_mode_and_ends_with_it(open_store, small_disk: Path) -> None:
    store: Store = await open_store(small_disk / "state", max_bytes=64 * MIB, min_free=0)
    await store.append(noise(0))
    store._writer.call(lambda: store._log.journal.db.execute("PRAGMA query_only=ON")).result()
    assert await store.append(noise(1)) == HELD_IN_MEMORY
    assert store.status().mode == "memory"
    assert store.outbox.newest() == 2
    store._writer.call(lambda: store._log.journal.db.execute("PRAGMA query_only=OFF")).result()
    assert store._writer.call(store._log.flush_memory).result()
    assert store.status().mode == "disk"


def test_the_ballast_takes_no_room_where_little_is_left(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", max_bytes=64 * MIB)
    ballast.take()
    assert (tmp_path / "ballast").stat().st_size == 4 * MIB
    assert ballast.drop()
    assert not ballast.drop()
    assert free_bytes(tmp_path) > 0
