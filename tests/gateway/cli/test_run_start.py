"""`heyzack run` says in one line why it cannot start, and leaves nothing running."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.site import StoreSettings
from gateway.store.store import Store

SITE = """
site: {{id: office, timezone: Europe/Paris}}
store: {{path: {state}}}
web: {{listen: "127.0.0.1:{port}"}}
"""


def run(folder: Path, state: Path, port: int) -> subprocess.CompletedProcess[str]:
    (folder / "site.yaml").write_text(SITE.format(state=state, port=port), encoding="utf-8")
    arguments = [sys.executable, "-m", "gateway", "run", "--config", str(folder)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def a_file_in_its_place(state: Path) -> None:
    state.write_text("not a folder", encoding="utf-8")


def a_loop_of_links(state: Path) -> None:
    state.symlink_to(state)


@pytest.mark.parametrize("spoil", [a_file_in_its_place, a_loop_of_links])
def test_a_state_folder_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, free_port: int, spoil: Callable[[Path], None]
) -> None:
    state = tmp_path / "state"
    spoil(state)
    ended = run(tmp_path, state, free_port)
    assert ended.returncode == 1
    assert f"Error: the store in {state} cannot be used: " in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_second_gateway_on_the_same_state_is_told_who_has_it(tmp_path: Path, free_port: int) -> None:
    state = tmp_path / "state"
    store = Store.open(state, now=lambda: 1, settings=StoreSettings(state))
    ended = run(tmp_path, state, free_port)
    await store.close()
    assert ended.returncode == 1
    assert f"{state} is in use by another gateway (process " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_page_port_that_is_taken_is_named_and_what_had_begun_is_ended(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = int(taken.getsockname()[1])
        ended = run(tmp_path, tmp_path / "state", port)
    assert ended.returncode == 1
    assert f"Error: cannot start with the page on 127.0.0.1:{port}: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "state" / "journal.db-wal").exists()
