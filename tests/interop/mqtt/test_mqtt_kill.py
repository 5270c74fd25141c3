"""The gateway's process killed with a message in its hands: mosquitto sends again, the store has it once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.store.reader import Reader
from tests.drivers.mqtt.conftest import make_mosquitto, mosquitto
from tests.servers.process import free_port

if TYPE_CHECKING:
    from tests.drivers.mqtt.conftest import Mosquitto

__all__ = ["make_mosquitto", "mosquitto"]
pytestmark = [pytest.mark.servers, pytest.mark.slow]

SITE = """
site: {{id: kill, name: K, timezone: UTC}}
links:
  b: {{driver: mqtt, host: 127.0.0.1, port: {port}, client_id: gw, version: "{version}"}}
devices:
  room: {{link: b, topic: room, timestamp: at, points: {{t: {{json: t, unit: degC}}}}}}
store: {{path: state, min_free: 1MiB}}
web: {{listen: "127.0.0.1:{page}"}}
"""
PLAIN = "from gateway.cli import main; main()"
HANGS_BEFORE_THE_COMMIT = f"""
import asyncio, pathlib
from gateway.store.store import Store
whole = Store.append
async def append(self, batch):
    if 21.5 not in batch.value:
        return await whole(self, batch)
    pathlib.Path("marker").touch()
    await asyncio.Event().wait()
Store.append = append
{PLAIN}
"""
NEVER_ACKNOWLEDGES = f"""
import pathlib
from drivers.mqtt.session import Session
def acknowledge(self, messages):
    if messages: pathlib.Path("marker").touch()
Session.acknowledge = acknowledge
{PLAIN}
"""


@contextmanager
def gateway(folder: Path, program: str = PLAIN) -> Iterator[subprocess.Popen[bytes]]:
    """The gateway as a process of its own; killed at the end if it still runs."""
    (folder / "marker").unlink(missing_ok=True)
    with (folder / "log").open("ab") as log:
        made = [sys.executable, "-c", program, "run", "--config", "."]
        process = subprocess.Popen(made, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def until(condition: Callable[[], bool], folder: Path, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
        time.sleep(0.05)


def publish(port: int, at: int, value: float) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish("room", f'{{"t": {value}, "at": {at}}}', 1).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


def samples(folder: Path) -> list[tuple[int, float]]:
    """(time in s, value) of everything of the room that is in the store and has a value."""
    if not (folder / "state" / "catalogue.db").exists():
        return []
    with Reader(folder / "state") as reader:
        found = [reader.samples(s.series, 0, 1 << 62) for s in reader.series() if s.device == "room"]
    return [
        (int(t) // 10**9, float(v))
        for part in found
        for t, v in zip(part.time, part.value, strict=True)
        if not np.isnan(v)
    ]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_message_survives_kills_before_and_after_its_commit(
    mosquitto: Mosquitto, tmp_path: Path, version: str
) -> None:
    site = SITE.format(port=mosquitto.port, page=free_port(), version=version)
    (tmp_path / "site.yaml").write_text(site)
    first, marker = int(time.time()) - 600, tmp_path / "marker"
    with gateway(tmp_path):
        until(lambda: "connected to" in (tmp_path / "log").read_text(), tmp_path)
        time.sleep(0.5)
    publish(mosquitto.port, first, 21.5)

    with gateway(tmp_path, HANGS_BEFORE_THE_COMMIT):
        until(marker.exists, tmp_path)
    assert samples(tmp_path) == []

    with gateway(tmp_path, NEVER_ACKNOWLEDGES):
        until(marker.exists, tmp_path)
    assert samples(tmp_path) == [(first, 21.5)]

    publish(mosquitto.port, first + 60, 22.5)
    with gateway(tmp_path) as last:
        until(lambda: len(samples(tmp_path)) > 1, tmp_path)
        time.sleep(1.0)
        last.send_signal(signal.SIGTERM)
        last.wait(20)
    assert samples(tmp_path) == [(first, 21.5), (first + 60, 22.5)]
