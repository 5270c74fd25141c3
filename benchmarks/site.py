"""A gateway as it is installed, under load: a generated configuration and its own process."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import CpuMeter, child, first_line, rss_mb

READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a gateway did over a span of time. cpu_percent: of one core, the gateway process alone."""

    seconds: float
    cpu_percent: float
    rss_mb: float
    samples: int
    acknowledged: int
    late: int
    backlog: int
    online: int

    @property
    def samples_per_s(self) -> float:
        return self.samples / self.seconds


class RunningSite:
    """A gateway process and its own word on what it does."""

    def __init__(self, pid: int, page: str) -> None:
        self.pid = pid
        self._page = page

    def status(self) -> Mapping[str, Any]:
        """What the API says of the gateway."""
        with urllib.request.urlopen(f"{self._page}/api/v1/status", timeout=10) as answer:  # noqa: S310
            body: Mapping[str, Any] = json.load(answer)
            return body

    def wait_online(self, devices: int) -> None:
        """Until so many devices answer and the KPI worker is warm; RuntimeError when they do not."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            status = self.status()
            if self._online(status) >= devices and status["worker"] == "warm":
                return
            time.sleep(0.5)
        raise RuntimeError(f"only {self._online(self.status())} of {devices} devices answer")

    def observe(self, seconds: float) -> Load:
        """Let it work; asks it only before and after, for questions cost it something too."""
        before = self.status()
        meter, start = CpuMeter(self.pid), time.perf_counter()
        time.sleep(seconds)
        cpu, spent = meter.percent(), time.perf_counter() - start
        after = self.status()
        return Load(
            seconds=spent,
            cpu_percent=cpu,
            rss_mb=rss_mb(self.pid),
            samples=after["store"]["samples_committed"] - before["store"]["samples_committed"],
            acknowledged=_sinks(after, "acknowledged") - _sinks(before, "acknowledged"),
            late=after["poll_late"] - before["poll_late"],
            backlog=_sinks(after, "backlog"),
            online=self._online(after),
        )

    def _online(self, status: Mapping[str, Any]) -> int:
        return sum(device["online"] for device in status["devices"])


def _sinks(status: Mapping[str, Any], key: str) -> int:
    return sum(sink[key] for sink in status["sinks"])


def write_configuration(
    folder: Path,
    *,
    devices: Mapping[str, Mapping[str, Any]],
    points: Mapping[str, Mapping[str, Any]],
    driver: str,
    links: Mapping[str, Mapping[str, Any]] | None = None,
    cloud: str | None = None,
) -> None:
    """A site of many equal devices: their points are in one template. JSON, because it is YAML too."""
    template = {
        "manufacturer": "Benchmark",
        "model": "block",
        "driver": driver,
        "source": "made for a measurement",
        "verified": "none",
        "points": points,
        "golden": {point: {"raw": "00d7", "value": 21.5} for point in points},
    }
    site: dict[str, Any] = {
        "site": {"id": "benchmark", "name": "Benchmark", "timezone": "Europe/Paris", "area_m2": 1000},
        "links": links or {},
        "store": {"path": "state", "max_bytes": "4GiB"},
        "web": {"listen": f"127.0.0.1:{_free_port()}", "anonymous": True},
    }
    if cloud:
        site["sync"] = {"central": {"url": cloud, "org": "b", "bucket": "b", "token": "benchmark"}}
    _write(folder / "site.yaml", site)
    _write(folder / "devices" / "all.yaml", devices)
    _write(folder / "templates" / "benchmark" / "block.yaml", template)


TEMPLATE = "benchmark/block"


@contextmanager
def running_gateway(folder: Path) -> Iterator[RunningSite]:
    """`heyzack run` on a configuration, in its own process; its log is `gateway.log` in the folder."""
    log = folder / "gateway.log"
    arguments = ("run", "--config", str(folder), "--log-level", "WARNING", "--end-with-stdin")
    with child("gateway", *arguments, log=log) as process:
        ready = first_line(process, log)
        yield RunningSite(process.pid, ready.removeprefix("ready "))


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def names(prefix: str, count: int) -> Sequence[str]:
    """'meter-001', 'meter-002', ..."""
    return [f"{prefix}-{number:03d}" for number in range(1, count + 1)]
