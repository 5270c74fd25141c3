"""Starting and ending one real server for a test: free port, own folder, nothing beyond loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

READY_WITHIN_S = 20.0


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def needed(program: str) -> str:
    """The path of a Debian server; the test is skipped, saying why, where it is not installed."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed (apt-get install it to run this test)")
    return path


class ServerProcess:
    """A server that can be ended politely, killed, and started again on the same folder and port."""

    def __init__(self, command: Sequence[str], folder: Path, is_ready: Callable[[], bool]) -> None:
        self._command = command
        self._folder = folder
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers; raises RuntimeError with the end of its log when it does not."""
        log = self._folder / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=out, cwd=self._folder)
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._is_ready():
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"{self._command[0]} is not ready:\n{log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """End it as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut of the process would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None


def answers_http(url: str) -> Callable[[], bool]:
    """A readiness check: the URL gives any answer below 300."""
    import urllib3

    def check() -> bool:
        try:
            return urllib3.request("GET", url, timeout=1.0, retries=False).status < 300
        except urllib3.exceptions.HTTPError:
            return False

    return check


def answers_tcp(port: int) -> Callable[[], bool]:
    """A readiness check: something accepts connections on the loopback port."""

    def check() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            return False
        return True

    return check
