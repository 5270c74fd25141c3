"""A whole gateway on a folder of its own, without page, against simulated equipment on real sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.base import FIRST_BAD
from drivers.modbus.settings import PointSettings
from gateway.app import Gateway
from gateway.config import load
from gateway.status import DeviceStatus, PointStatus
from gateway.store.reader import Reader, Samples
from simulators.base import ServedPoint, ValueAt

HEAD = "site: {id: faults, timezone: UTC}\nstore: {path: state, min_free: 1MiB}\n"


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def register(name: str, number: int, value_at: ValueAt, type_: str = "f64", unit: str = "kW") -> ServedPoint:
    """A point at a register, as a simulated device serves it."""
    return ServedPoint(
        name, PointSettings.model_validate({"register": number, "type": type_}), value_at, unit
    )


def seconds(at_ns: int) -> float:
    """A value that is never the same twice."""
    return at_ns / 1e9 % 86_400


def write(folder: Path, text: str) -> Path:
    """The configuration: a site and what is given."""
    (folder / "site.yaml").write_text(HEAD + text, encoding="utf-8")
    return folder


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway(load(folder))
    await gateway.start(page=False)
    try:
        yield gateway
    finally:
        await gateway.stop()


def device(gateway: Gateway, name: str) -> DeviceStatus:
    return next(one for one in gateway.status().devices if one.device == name)


def point(gateway: Gateway, name: str, of: str) -> PointStatus:
    return next(one for one in gateway.points(of) if one.point == name)


async def until(condition: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for it; how long that took [s]."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def stored(folder: Path, of: str, name: str) -> Samples:
    """Every sample of a point in the store, in order of time."""
    with Reader(folder / "state") as reader:
        (series,) = [s.series for s in reader.series() if (s.device, s.point) == (of, name)]
        return reader.samples(series, 0, 1 << 62)


def good(samples: Samples) -> NDArray[np.float64]:
    """The values of the samples that have one."""
    values: NDArray[np.float64] = samples.value[samples.quality < FIRST_BAD]
    return values


def qualities(samples: Samples) -> set[int]:
    return {int(one) for one in np.unique(samples.quality)}


def gaps(times: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]
