"""The API while fifty people watch: a demo runs, fifty streams are open, 100 requests arrive a second.

Requests arrive at their times whether or not earlier ones are answered, and each is timed from when it was
due: a server that stalls is charged for all who waited. Before that, the same demo runs without viewers, and
the reference for `ratios` is that quiet time: requests alone, one at a time, and polling late or on time.
Everything is on loopback. The simulators, the gateway, its worker and this client share the machine's cores.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.harness import REPOSITORY, Figure, Options, cpu_seconds

LIBRARIES = ("fastapi", "starlette", "uvicorn", "uvloop", "orjson", "msgspec", "jinja2")
VIEWERS = 50
REQUESTS_PER_S = 100
CLIENTS = 20
"""Kept-alive connections that the requests are spread over."""
PATHS = (
    "/api/v1/status",
    "/api/v1/points",
    "/api/v1/points?device=main-meter",
    "/api/v1/devices",
    "/api/v1/kpis",
    "/api/v1/alarms",
    "/api/v1/points/main-meter/power/samples",
    "/healthz",
)
ANSWER_WITHIN_S = 10.0


def run(options: Options) -> dict[str, Figure]:
    """Latencies [ms] from the time each request was due, the streams' ticks, and late polls."""
    with tempfile.TemporaryDirectory(prefix="heyzack-bench-") as folder, running_demo(Path(folder)) as demo:
        demo.wait_until_settled(imported=not options.quick)
        return asyncio.run(_measure(demo, options))


async def _measure(demo: RunningDemo, options: Options) -> dict[str, Figure]:
    seconds = options.duration(30.0, 1.0)
    quiet = await _phase(demo, seconds / 2, viewers=0, rate=5)
    busy = await _phase(
        demo, seconds, viewers=options.choose(VIEWERS, 2), rate=options.choose(REQUESTS_PER_S, 10)
    )
    page = await _page_ms(demo)
    return {
        "p50_ms": busy.percentile(50),
        "p95_ms": busy.percentile(95),
        "p99_ms": busy.percentile(99),
        "max_ms": busy.percentile(100),
        "requests": len(busy.latencies),
        "failed": busy.failed,
        "requests_per_s": round(len(busy.latencies) / busy.seconds, 1),
        "viewers": busy.viewers,
        "ticks_per_viewer_per_s": round(busy.ticks / max(busy.viewers, 1) / busy.seconds, 2),
        "page_ms": page,
        "quiet_p95_ms": quiet.percentile(95),
        "polls_late_before": quiet.late,
        "polls_late_during": busy.late,
        "samples_per_s_before": round(quiet.samples / quiet.seconds, 2),
        "samples_per_s_during": round(busy.samples / busy.seconds, 2),
        "gateway_cpu_percent_before": round(quiet.cpu_percent, 1),
        "gateway_cpu_percent": round(busy.cpu_percent, 1),
        "gateway_rss_mb": round(busy.rss_mb, 1),
        "p95_ms_by_path": busy.by_path(),
        "ratios": {"quiet_gateway": round(busy.percentile(95) / quiet.percentile(95), 3)},
    }


@dataclass(slots=True)
class _Phase:
    """What one phase saw. late, samples: polls that began late and samples committed in it."""

    seconds: float
    viewers: int
    latencies: list[tuple[str, float]] = field(default_factory=list)
    failed: int = 0
    ticks: int = 0
    late: int = 0
    samples: int = 0
    cpu_percent: float = 0.0
    rss_mb: float = 0.0

    def percentile(self, share: float) -> float:
        """Latency [ms]."""
        return round(float(np.percentile([one for _, one in self.latencies], share)) * 1000, 2)

    def by_path(self) -> dict[str, float | None]:
        """95th percentile [ms] of each address."""
        return {
            path: round(float(np.percentile(found, 95)) * 1000, 2)
            for path in PATHS
            if (found := [one for name, one in self.latencies if name == path])
        }


async def _phase(demo: RunningDemo, seconds: float, viewers: int, rate: int) -> _Phase:
    """Open the streams, then let requests arrive at `rate` for so long."""
    found = _Phase(seconds, viewers)
    streams = [asyncio.create_task(_watch(demo.port, found)) for _ in range(viewers)]
    await asyncio.sleep(min(1.0, seconds))
    found.ticks = 0
    before = demo.status()
    cpu, started = cpu_seconds(demo.gateway), time.perf_counter()
    await _requests(demo.port, seconds, rate, found)
    found.seconds = time.perf_counter() - started
    found.cpu_percent = 100 * (cpu_seconds(demo.gateway) - cpu) / found.seconds
    found.rss_mb = psutil.Process(demo.gateway).memory_info().rss / 1e6
    after = demo.status()
    found.late = after["poll_late"] - before["poll_late"]
    found.samples = after["store"]["samples_committed"] - before["store"]["samples_committed"]
    for stream in streams:
        stream.cancel()
    ended = await asyncio.gather(*streams, return_exceptions=True)
    found.failed += sum(not isinstance(end, asyncio.CancelledError) for end in ended)
    return found


async def _watch(port: int, found: _Phase) -> None:
    """One viewer: counts the live events until it is cancelled; returns only when the stream ends early."""
    async with _connection(port) as (reader, writer):
        writer.write(_request("/api/v1/stream"))
        while line := await reader.readline():
            found.ticks += line.startswith(b"event:")


async def _requests(port: int, seconds: float, rate: int, found: _Phase) -> None:
    due: asyncio.Queue[tuple[float, str] | None] = asyncio.Queue()
    clients = [asyncio.create_task(_client(port, due, found)) for _ in range(CLIENTS)]
    begin = time.perf_counter()
    for number in range(max(1, round(seconds * rate))):
        at = begin + number / rate
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        due.put_nowait((at, PATHS[number % len(PATHS)]))
    for _ in clients:
        due.put_nowait(None)
    await asyncio.gather(*clients)


async def _client(port: int, due: asyncio.Queue[tuple[float, str] | None], found: _Phase) -> None:
    """One kept-alive connection that answers what is due, in turn with the others."""
    async with _connection(port) as (reader, writer):
        while (wanted := await due.get()) is not None:
            at, path = wanted
            writer.write(_request(path))
            status = await asyncio.wait_for(_answer(reader), ANSWER_WITHIN_S)
            found.latencies.append((path, time.perf_counter() - at))
            found.failed += status != 200


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    length = lowered.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
    if length.strip():
        await reader.readexactly(int(length))
    elif b"transfer-encoding: chunked" in lowered:
        await _chunks(reader)
    return int(head.split(b" ", 2)[1])


async def _chunks(reader: asyncio.StreamReader) -> None:
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()


async def _page_ms(demo: RunningDemo) -> float:
    """The first page, server-rendered, median of nine [ms]."""
    found = _Phase(1.0, 0)
    async with _connection(demo.port) as (reader, writer):
        for _ in range(9):
            at = time.perf_counter()
            writer.write(_request("/"))
            await _answer(reader)
            found.latencies.append(("/", time.perf_counter() - at))
    return found.percentile(50)


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: en\r\n\r\n".encode()


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """A demo that was started for a measurement. gateway: the process id of the gateway itself."""

    port: int
    gateway: int

    def status(self) -> dict[str, Any]:
        """The gateway's status over its API. Raises OSError."""
        url = f"http://127.0.0.1:{self.port}/api/v1/status"
        with urllib.request.urlopen(url, timeout=ANSWER_WITHIN_S) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def wait_until_settled(self, *, imported: bool, patience_s: float = 180.0) -> None:
        """Wait until the gateway is ready and, if wanted, the past is imported and sent."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            status = self.status()
            backlog = sum(sink["backlog"] for sink in status["sinks"])
            idle = status["importing"] is None and status["kpis"] and backlog < 1000
            if status["ready"] and (idle or not imported):
                return
            time.sleep(1.0)
        raise TimeoutError("the demo did not come to rest")


@contextmanager
def running_demo(folder: Path) -> Iterator[RunningDemo]:
    """`heyzack demo` on a free port with its state in `folder`; ended when left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    arguments = ["-m", "gateway", "demo", "--state", str(folder / "state"), "--port", str(port)]
    with (folder / "demo.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *arguments], cwd=REPOSITORY, stdout=log, stderr=log)
    try:
        yield RunningDemo(port, _gateway_pid(process, port, folder / "demo.log"))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _gateway_pid(process: subprocess.Popen[bytes], port: int, log: Path, patience_s: float = 60.0) -> int:
    """The child of the demo that runs the gateway, once it answers."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1.0):
            return _running_gateway(psutil.Process(process.pid).children())
        time.sleep(0.1)
    raise RuntimeError(f"the demo did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _running_gateway(children: Sequence[psutil.Process]) -> int:
    return next(one.pid for one in children if {"gateway", "run"} <= set(one.cmdline()))
