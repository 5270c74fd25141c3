"""A real mosquitto on a free loopback port, started and ended by the test that asks for it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Mosquitto:
    """A broker that keeps its sessions over a restart. listener: further lines of its configuration."""

    def __init__(self, folder: Path, listener: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\n{listener}\n"
            f"max_queued_messages 20000\npersistence true\npersistence_location {folder}/\nlog_type none\n"
            "user root\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)])
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        pytest.fail("mosquitto does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)
            self._process = None


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Iterator[Callable[[str], Mosquitto]]:
    """Start a broker with the given listener settings."""
    started: list[Mosquitto] = []

    def make(listener: str) -> Mosquitto:
        if MOSQUITTO is None:
            pytest.skip("Debian's mosquitto is not installed: apt-get install mosquitto")
        server = Mosquitto(tmp_path, listener)
        server.start()
        started.append(server)
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[[str], Mosquitto]) -> Mosquitto:
    return make_mosquitto("allow_anonymous true\nmax_inflight_messages 1000")
