"""A building's samples for benchmarks: counters, gauges and states with a meter's decimals, seeded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.base import Batch
from gateway.store.catalogue import SeriesSpec

SECOND_NS = 1_000_000_000
QUANTITIES = (
    ("electric_energy", "kWh", "counter"),
    ("electric_power", "kW", "gauge"),
    ("temperature", "degC", "gauge"),
    ("voltage", "V", "gauge"),
    ("state", "1", "state"),
)


def series_specs(count: int) -> list[SeriesSpec]:
    """Points for so many series, ten to a device, in the catalogue's words."""
    return [
        SeriesSpec(f"device-{n // 10:03d}", f"{QUANTITIES[n % 5][0]}_{n % 10}", *QUANTITIES[n % 5])
        for n in range(count)
    ]


def column(series: int, n: int, seed: int = 0) -> NDArray[np.float64]:
    """Values of one series over time, shape (n,): by its place, a counter, a power, a temperature, ..."""
    rng = np.random.default_rng((seed, series))
    kind = QUANTITIES[series % 5][0]
    if kind == "electric_energy":
        return np.round(1000.0 * (series + 1) + np.cumsum(rng.integers(0, 9, n)) * 0.1, 1)
    if kind == "electric_power":
        walk: NDArray[np.float64] = 50.0 + 0.2 * np.cumsum(rng.normal(0, 1, n))
        return walk.clip(0.0).round(2)
    if kind == "temperature":
        return np.round(20.0 + rng.normal(0, 1, n), 1)
    if kind == "voltage":
        # An IEEE 754 single, as a meter's float register gives it.
        single: NDArray[np.float32] = rng.normal(230.0, 1.0, n).astype(np.float32)
        return single.astype(np.float64)
    return (rng.random(n) < 0.01).astype(np.float64)


def polls(ids: NDArray[np.int32], count: int, start_ns: int, every_s: float = 1.0) -> list[Batch]:
    """`count` polls of all series: each batch has one sample a series, all at one time."""
    table = np.stack([column(n, count) for n in range(len(ids))])
    step = round(every_s * SECOND_NS)
    return [Batch.of(ids, start_ns + k * step, table[:, k]) for k in range(count)]
