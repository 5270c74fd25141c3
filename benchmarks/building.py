"""A large building's minute samples in memory: meters, PV, gas, water, weather, people, and many sensors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gateway.kpi.messages import PointModel, RoleModel, SiteModel

MINUTE_NS = 60 * 10**9
DAY_MINUTES = 1440
BASELINE_DAYS = 365
ROLES = (
    ("site.electricity.import", "counter", "kWh"),
    ("site.electricity.export", "counter", "kWh"),
    ("site.pv.generation", "counter", "kWh"),
    ("site.gas", "counter", "kWh"),
    ("site.water", "counter", "m3"),
    ("outdoor.temperature", "gauge", "degC"),
    ("occupancy", "gauge", "1"),
)
FIRST_ROLE_SERIES = 100_000
COUNTER_SHARE = 5
"""Beyond the roles' own points, every fifth series is a sub-meter's counter, the others are gauges."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Building:
    """time: int64 UTC ns, shape (n,), shared by all series; values: series -> float64, shape (n,)."""

    time: NDArray[np.int64]
    values: dict[int, Floats]
    kinds: dict[int, str]

    @property
    def end(self) -> int:
        return int(self.time[-1]) + MINUTE_NS

    @property
    def samples(self) -> int:
        return len(self.time) * len(self.values)


def make_building(start_ns: int, minutes: int, series: int, seed: int = 3) -> Building:
    """So many series over so many minutes; after the baseline year the building needs a fifth less."""
    rng = np.random.default_rng(seed)
    at = np.arange(minutes, dtype=np.int64)
    time = start_ns + at * MINUTE_NS
    day, hour = at // DAY_MINUTES, (at % DAY_MINUTES) / 60.0
    season = -np.cos(2 * np.pi * (day - 15) / 365.25)
    outdoor = (
        11.5 + 9.0 * season + 4.0 * np.sin(2 * np.pi * (hour - 9.0) / 24.0) + rng.normal(0, 0.2, minutes)
    )
    working = (day % 7 < 5) & (hour >= 7) & (hour < 19)
    people = np.where(working, 180.0 + rng.integers(-20, 20, minutes), 0.0)
    saved = np.where(day >= BASELINE_DAYS, 0.8, 1.0)
    use = saved * (40.0 + 90.0 * working + (1.0 + 4.0 * working) * np.maximum(outdoor - 20.0, 0.0))
    sun = np.maximum(np.sin(2 * np.pi * (hour - 6.0) / 24.0), 0.0) * (60.0 + 30.0 * season)
    heat = saved * 8.0 * np.maximum(16.0 - outdoor, 0.0)
    columns: list[Floats] = [
        _counter(np.maximum(use - sun, 0.0) / 60.0),
        _counter(np.maximum(sun - use, 0.0) / 60.0),
        _counter(sun / 60.0),
        _counter(heat / 60.0),
        _counter((0.05 + 0.004 * people) / 60.0, 3),
        np.round(outdoor, 1),
        people,
    ]
    kinds = [kind for _, kind, _ in ROLES]
    noise = rng.normal(0.0, 1.0, minutes)
    for number in range(len(ROLES), series):
        shifted = np.roll(noise, 977 * number)
        if number % COUNTER_SHARE == 0:
            columns.append(_counter((5.0 + np.abs(shifted)) / 60.0, 2))
            kinds.append("counter")
        else:
            columns.append(np.round(20.0 + 0.1 * number + season + shifted, 1))
            kinds.append("gauge")
    values = dict(enumerate(columns[:series], 1))
    return Building(time, values, dict(enumerate(kinds[:series], 1)))


def _counter(per_minute: Floats, decimals: int = 2) -> Floats:
    """A register that counts with a meter's decimals."""
    return np.round(1000.0 + np.cumsum(per_minute), decimals)


def site_model(building: Building) -> SiteModel:
    """The site as the worker is told of it: a baseline year, then the retrofit."""
    first = datetime.fromtimestamp(int(building.time[0]) // 10**9, UTC).date()
    retrofit = first + timedelta(days=BASELINE_DAYS)
    return SiteModel(
        site="bench",
        timezone="UTC",
        store="",
        area_m2=5600.0,
        points=tuple(
            PointModel(series, "bench", f"p{series}", building.kinds[series], 180.0)
            for series in building.values
        ),
        roles=tuple(
            RoleModel(FIRST_ROLE_SERIES + n, name, f"bench/p{n}", kind, unit)
            for n, (name, kind, unit) in enumerate(ROLES, 1)
        ),
        heartbeat=None,
        heartbeat_hold_s=130.0,
        baseline_from=first.isoformat(),
        baseline_to=(retrofit - timedelta(days=1)).isoformat(),
        retrofit=retrofit.isoformat(),
        factors={"electricity": "fr-location-hourly", "gas": "fr-gas"},
    )
