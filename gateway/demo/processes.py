"""The demo's child processes: each ends with its parent, even after kill -9, because its stdin closes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class ChildError(Exception):
    """A child process did not come up; the message has its last words."""


class Child:
    """One child process, held by its stdin."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; its stderr goes to its log file."""
        log = _append(self._log)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which ends its children in order
            )
        finally:
            os.close(log)

    async def first_line(self, timeout_s: float) -> str:
        """The first line it prints, its sign of being ready. Raises ChildError when none comes."""
        try:
            line = await asyncio.wait_for(self._output.readline(), timeout_s)
        except TimeoutError:
            line = b""
        if not line:
            raise ChildError(f"{self.name} did not start; see {self._log}:\n{tail(self._log)}")
        return line.decode().strip()

    async def wait(self) -> int:
        """Wait for its end; the exit code. Raises ChildError when it was never started."""
        if self._process is None:
            raise ChildError(f"{self.name} was not started")
        return await self._process.wait()

    @property
    def _output(self) -> asyncio.StreamReader:
        if self._process is None or self._process.stdout is None:
            raise ChildError(f"{self.name} was not started")
        return self._process.stdout

    async def stop(self, patience_s: float = 15.0) -> None:
        """Ask it to end; insist when it does not."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), patience_s)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _append(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
