"""What the demo sees of its children from outside: the gateway's own status, the receiver's count, CPU."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections import deque
from typing import Any

import msgspec
import psutil

from gateway.status import SiteStatus

CPU_WINDOW_S = 20.0


async def fetch_json(url: str, timeout_s: float = 5.0) -> Any:
    """GET a loopback URL; None when nobody answers."""

    def get() -> Any:
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - our own loopback URL
                return json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return None

    return await asyncio.to_thread(get)


async def fetch_status(page: str) -> SiteStatus | None:
    """The gateway's status over its API; None while it is not up."""
    answer = await fetch_json(f"{page}/api/v1/status")
    return None if answer is None else msgspec.convert(answer, SiteStatus, strict=False)


class Meter:
    """CPU and memory of one process and, apart, of its children (the KPI worker)."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._samples: deque[tuple[float, float]] = deque()

    def sample(self, monotonic: float) -> None:
        """Take a reading; those older than the window are dropped."""
        try:
            times = self._process.cpu_times()
        except psutil.Error:
            return
        self._samples.append((monotonic, times.user + times.system))
        while self._samples[0][0] < monotonic - CPU_WINDOW_S:
            self._samples.popleft()

    @property
    def cpu_percent(self) -> float | None:
        """Of one core, over the last 20 s; None before two readings."""
        if len(self._samples) < 2:
            return None
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        return round(100 * (last - first) / (last_at - first_at), 2)

    @property
    def rss_mb(self) -> float | None:
        return _rss_mb([self._process])

    @property
    def worker_rss_mb(self) -> float | None:
        try:
            return _rss_mb(self._process.children(recursive=True))
        except psutil.Error:
            return None


def _rss_mb(processes: list[psutil.Process]) -> float | None:
    try:
        return round(sum(process.memory_info().rss for process in processes) / 1e6, 1)
    except psutil.Error:
        return None
