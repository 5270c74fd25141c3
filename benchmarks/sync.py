"""How fast what is committed reaches a server, and how current it stays while a backlog drains.

Lines a second: the real sender empties a real journal into a server that keeps nothing, in another process:
the client is what is measured. The reference writes the same samples, in requests of the same size, as
influxdb-client's Point objects. Draining: a backlog goes to Debian's victoria-metrics where it is installed,
else to a server that keeps nothing (`drain_server` says which), while 1,000 samples/s go on being committed.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS

from benchmarks.harness import (
    Figure,
    Options,
    child,
    cpu_seconds,
    first_line,
    interleave,
    ratios,
    wall_turn,
)
from benchmarks.samples import polls, series_specs
from benchmarks.store import close
from drivers.base import Batch
from gateway.site import StoreSettings
from gateway.store.store import Store
from sync.influx import InfluxSink, InfluxTarget
from sync.outbox import SeriesTags
from sync.sender import Sender

LIBRARIES = ("influxdb-client", "urllib3", "orjson", "numpy")
SERIES = 1000
REQUEST_LINES = 5000
RATE = 1000.0
"""Samples committed each second beside the drain: real time, for `drain_factor`."""


def run(options: Options) -> dict[str, Figure]:
    """Lines a second without and with gzip, against Point objects; then draining beside live data."""
    commits, rounds = options.choose(500, 3), options.choose(5, 1)
    ids = np.arange(1, SERIES + 1, dtype=np.int32)
    batches = polls(ids, commits, time.time_ns() - 7 * 86_400 * 10**9)
    with tempfile.TemporaryDirectory(prefix="heyzack-bench-") as folder, blackhole() as url:
        store = _filled(Path(folder) / "store", batches)
        lines = _Lines(store, url, batches, options.choose(50_000, 1000))
        medians = interleave(
            {
                "ours": lambda: lines.ours(gzip=False),
                "gzip": lambda: lines.ours(gzip=True),
                "influxdb_client_points": wall_turn(lines.points),
            },
            rounds,
        )
        gzip = medians.pop("gzip")
        close(store)
        drained = _drain(Path(folder) / "drain", options)
    return {
        "lines_per_s": round(1 / medians["ours"]),
        "lines_per_s_gzip": round(1 / gzip),
        "lines_per_cpu_s": round(1 / lines.cpu_per_line[False]),
        "lines_per_cpu_s_gzip": round(1 / lines.cpu_per_line[True]),
        "lines": commits * SERIES,
        "request_lines": REQUEST_LINES,
        **drained,
        "ratios": ratios(medians),
    }


@contextmanager
def blackhole() -> Iterator[str]:
    """The URL of a server that keeps nothing, in a process of its own."""
    with child("benchmarks.blackhole") as process:
        yield f"http://127.0.0.1:{first_line(process)}"


class _Lines:
    """Turns of the sender and of Point objects against one server."""

    def __init__(self, store: Store, url: str, batches: Sequence[Batch], points: int) -> None:
        self._store = store
        self._url = url
        self._batches = batches
        self._points = points
        self._turn = 0
        self.cpu_per_line: dict[bool, float] = {}

    def ours(self, *, gzip: bool) -> float:
        """Seconds a line. A sink never seen before starts at the oldest row: the journal is its backlog.

        Not timed is the sender's stop, which waits for its idle thread to look up.
        """
        self._turn += 1
        started, busy = time.perf_counter(), cpu_seconds()
        sender = _sender(self._store, self._url, f"turn-{self._turn}", gzip=gzip)
        lines = _empty(sender)
        seconds, busy = time.perf_counter() - started, cpu_seconds() - busy
        sender.stop()
        if lines != sum(map(len, self._batches)):
            raise RuntimeError(f"{lines} lines were acknowledged")
        self.cpu_per_line[gzip] = busy / lines
        return seconds / lines

    def points(self) -> float:
        """influxdb-client's objects and its synchronous write."""
        tags = self._store.outbox.tags(self._batches[0].series)
        with InfluxDBClient(self._url, token="", org="o") as client:
            api = client.write_api(write_options=SYNCHRONOUS)
            done = 0
            held: list[Point] = []
            for batch in self._batches:
                held += _as_points(batch, tags)
                if len(held) >= REQUEST_LINES or done + len(held) >= self._points:
                    api.write("b", "o", held)
                    done += len(held)
                    held = []
                if done >= self._points:
                    break
        return float(done)


def _as_points(batch: Batch, tags: Sequence[SeriesTags]) -> list[Point]:
    return [
        Point(tag.quantity)
        .tag("site", tag.site)
        .tag("device", tag.device)
        .tag("point", tag.point)
        .tag("unit", tag.unit)
        .field("value", value)
        .field("quality", float(quality))
        .time(at, WritePrecision.NS)
        for tag, value, quality, at in zip(
            tags, batch.value.tolist(), batch.quality.tolist(), batch.time.tolist(), strict=True
        )
    ]


def _filled(path: Path, batches: Sequence[Batch]) -> Store:
    store = Store.open(path, now=time.time_ns, settings=StoreSettings(path), site="paris-hq", commit_s=0.0)
    store.catalogue.register(series_specs(SERIES))
    # Nothing is removed from the journal during the measurement: every turn finds all of it.
    store.keep_for(["a sink that never comes"])
    for batch in batches:
        store.submit(batch).result()
    return store


def _sender(store: Store, url: str, name: str, *, gzip: bool) -> Sender:
    sink = InfluxSink(InfluxTarget(url, org="o", bucket="b", gzip=gzip))
    sender = Sender(store.outbox, sink, name, batch_lines=REQUEST_LINES)
    sender.start()
    return sender


def _empty(sender: Sender, patience_s: float = 120.0) -> int:
    """Wait until nothing is left to send; the lines acknowledged."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        status = sender.status()
        if status.acknowledged_lines and not status.unsent:
            return status.acknowledged_lines
        time.sleep(0.002)
    raise TimeoutError(f"the backlog is not sent: {sender.status()}")


def _drain(path: Path, options: Options) -> dict[str, Figure]:
    """A backlog drains while live samples go on: how much faster than real time, how old live ones get."""
    polled_s = options.choose(3600, 5)
    ids = np.arange(1, SERIES + 1, dtype=np.int32)
    batches = polls(ids, polled_s, time.time_ns() - (polled_s + 60) * 10**9)
    store = _filled(path, batches)
    backlog = sum(map(len, batches))
    with _server(path / "server") as (name, url):
        sender = _sender(store, url, "central", gzip=True)
        live = _Live(store, sender, backlog_rows=len(batches))
        with live:
            seconds = live.drained()
        sender.stop()
    close(store)
    return {
        "drain_server": name,
        "drain_lines_per_s": round(backlog / seconds),
        "drain_factor": round(backlog / seconds / RATE, 1),
        "drain_backlog_lines": backlog,
        "live_commits": len(live.latencies),
        "live_latency_s": round(float(np.percentile(live.latencies, 95)), 3) if live.latencies else None,
        "live_latency_max_s": round(max(live.latencies), 3) if live.latencies else None,
    }


class _Live:
    """Commits 1,000 samples each second beside the drain and watches when each commit is acknowledged."""

    def __init__(self, store: Store, sender: Sender, backlog_rows: int) -> None:
        self.latencies: list[float] = []
        self._store = store
        self._sender = sender
        self._backlog_rows = backlog_rows
        self._begun = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._commit, daemon=True)

    def __enter__(self) -> _Live:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def drained(self, patience_s: float = 300.0) -> float:
        """Seconds until the whole backlog is acknowledged."""
        while time.monotonic() - self._begun < patience_s:
            if not _contains(self._sender, 1, self._backlog_rows):
                return time.monotonic() - self._begun
            time.sleep(0.005)
        raise TimeoutError(f"the backlog is not drained: {self._sender.status()}")

    def _commit(self) -> None:
        ids = np.arange(1, SERIES + 1, dtype=np.int32)
        due = time.monotonic()
        while not self._stop.is_set():
            at = time.time_ns()
            seq = self._store.submit(Batch.of(ids, at, float(at % 1000))).result()
            committed = time.monotonic()
            while _contains(self._sender, seq, seq) and time.monotonic() - committed < 60.0:
                time.sleep(0.005)
            self.latencies.append(time.monotonic() - committed)
            due = max(due + SERIES / RATE, time.monotonic())
            self._stop.wait(max(0.0, due - time.monotonic()))


def _contains(sender: Sender, first: int, last: int) -> bool:
    """Whether anything of first..last is not acknowledged yet."""
    return any(low <= last and high >= first for low, high in sender.status().unsent)


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and URL of a real server, as it is configured for this gateway; else of one that keeps nothing."""
    program = shutil.which("victoria-metrics")
    if program is None:
        with blackhole() as url:
            yield "keeps nothing", url
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            program,
            f"-storageDataPath={folder}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y",
            "-dedup.minScrapeInterval=1ms",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_answer(f"{url}/ping")
        yield "victoria-metrics", url
    finally:
        process.terminate()
        process.wait(20)


def _await_answer(url: str, patience_s: float = 20.0) -> None:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(url, timeout=1.0):  # noqa: S310 - loopback, ours
            return
        time.sleep(0.05)
    raise TimeoutError(f"{url} does not answer")
