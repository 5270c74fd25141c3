"""One process writes a store at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.base import Batch
from gateway.site import StoreSettings
from gateway.store.errors import StoreInUseError
from gateway.store.store import Store

HOLDER = """
import sys, time
from pathlib import Path
from gateway.site import StoreSettings
from gateway.store.store import Store
folder = Path(sys.argv[1])
store = Store.open(folder, now=time.time_ns, settings=StoreSettings(folder))
print("open", flush=True)
sys.stdin.read()
"""


def open_store(folder: Path) -> Store:
    return Store.open(folder, now=lambda: 1, settings=StoreSettings(folder), commit_s=0.001)


async def test_a_second_gateway_on_the_same_store_is_refused_by_name_and_changes_nothing(
    tmp_path: Path,
) -> None:
    first = open_store(tmp_path)
    await first.append(Batch.of([1], 1, [1.0]))
    with pytest.raises(StoreInUseError, match=rf"{tmp_path} is in use .*process {os.getpid()}"):
        open_store(tmp_path)
    await first.append(Batch.of([1], 2, [2.0]))
    assert first.samples_committed == 2
    await first.close()


async def test_a_closed_store_can_be_opened_again_and_closing_twice_frees_nobody_elses(
    tmp_path: Path,
) -> None:
    first = open_store(tmp_path)
    await first.close()
    second = open_store(tmp_path)
    first._lock.release()
    with pytest.raises(StoreInUseError):
        open_store(tmp_path)
    await second.close()


async def test_a_store_that_could_not_be_opened_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no catalogue today")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.store.store.open_catalogue", fail)
        with pytest.raises(OSError, match="no catalogue"):
            open_store(tmp_path)
    await open_store(tmp_path).close()


async def test_a_killed_gateway_leaves_its_store_to_the_next(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUseError, match=f"process {holder.pid}"):
            open_store(tmp_path)
        holder.kill()
        holder.wait()
    await open_store(tmp_path).close()
