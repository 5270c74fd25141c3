"""Late, long unread and imported data, from a real store through the worker's session and back into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from analytics.calendar import DAY, HOUR, MINUTE, to_ns
from analytics.flags import IntervalFlag
from drivers.base import Batch
from gateway.kpi.feed import QUARTER
from gateway.kpi.messages import ComputedIntervals, ComputedKpis, PointModel, Refresh, RoleModel, SiteModel
from gateway.kpi.session import Session
from gateway.records import KpiResult
from gateway.site import StoreSettings
from gateway.store.catalogue import SeriesSpec
from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.reader import Reader
from gateway.store.store import Store

MIDNIGHT = to_ns(datetime(2026, 11, 10, tzinfo=UTC))
NOW = MIDNIGHT + 2 * DAY + 12 * HOUR
IMPORT = "site.electricity.import"
KW = 60.0
PERIOD = 10 * 10**9


@dataclass(frozen=True)
class Site:
    """A meter with 60 kW and a temperature, their roles, and one session for them."""

    store: Store
    model: SiteModel
    session: Session

    def series(self, name: str) -> int:
        points = {point.point: point.series for point in self.model.points}
        return {**points, **{role.name: role.series for role in self.model.roles}}[name]

    async def measure(self, name: str, time: np.ndarray, value: np.ndarray) -> None:
        await self.store.append(Batch.of(np.full(len(time), self.series(name)), time, value))

    async def refresh(self, now: int = NOW, **what: object) -> tuple[list[IntervalBlock], list[KpiResult]]:
        """One refresh whose results go into the store, as the gateway's side does it."""
        sent: list[ComputedIntervals | ComputedKpis] = []
        with Reader(self.store.path) as reader:
            self.session.refresh(reader, Refresh(now, now // QUARTER * QUARTER, **what), sent.append)  # type: ignore[arg-type]
        blocks = [message.block() for message in sent if isinstance(message, ComputedIntervals)]
        results = [r for message in sent if isinstance(message, ComputedKpis) for r in message.results]
        await self.store.put_intervals(blocks)
        await self.store.append_records(results)
        return blocks, results

    def stored(self, name: str, resolution: str) -> Intervals:
        with Reader(self.store.path) as reader:
            return reader.intervals(self.series(name), resolution, 0, 2**62)


def register(time: np.ndarray) -> np.ndarray:
    return np.asarray((time - MIDNIGHT + 30 * DAY) / HOUR * KW)


def rows(blocks: list[IntervalBlock], series: int, resolution: str) -> list[int]:
    """Starts of what was sent of one series at one resolution."""
    found = [b.intervals.start for b in blocks if (b.series, b.resolution) == (series, resolution)]
    return [] if not found else np.concatenate(found).tolist()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    store = Store.open(tmp_path, now=lambda: NOW, settings=StoreSettings(tmp_path))
    roles = (IMPORT, "outdoor.temperature")
    ids = store.catalogue.register(
        [
            SeriesSpec("main", "energy", "electric_energy", "kWh", "counter"),
            SeriesSpec("roof", "temperature", "temperature", "degC", "gauge"),
            SeriesSpec("desk", "humidity", "humidity", "%", "gauge"),
            *(SeriesSpec("_site", role, "electric_energy", "kWh", "counter") for role in roles),
        ]
    )
    model = SiteModel(
        "x", "UTC", str(tmp_path), None,
        (
            PointModel(ids["main", "energy"], "main", "energy", "counter", 30.0),
            PointModel(ids["roof", "temperature"], "roof", "temperature", "gauge", 600.0),
            PointModel(ids["desk", "humidity"], "desk", "humidity", "gauge", 600.0),
        ),
        (
            RoleModel(ids["_site", IMPORT], IMPORT, "main/energy", "counter", "kWh", minutes=True),
            RoleModel(ids["_site", roles[1]], roles[1], "roof/temperature", "gauge", "degC"),
        ),
        None, 130.0,
    )  # fmt: skip
    yield Site(store, model, Session(model))
    await store.close()


async def two_days(site: Site) -> None:
    """Two and a half days of the meter and of two gauges, but for the meter's gap of 10:05 to 10:25."""
    time = np.arange(MIDNIGHT, NOW, PERIOD, dtype=np.int64)
    gap = (time > MIDNIGHT + 10 * HOUR + 5 * MINUTE) & (time < MIDNIGHT + 10 * HOUR + 25 * MINUTE)
    await site.measure("energy", time[~gap], register(time[~gap]))
    slow = np.arange(MIDNIGHT, NOW, 300 * 10**9, dtype=np.int64)
    await site.measure("temperature", slow, np.full(len(slow), 8.0))
    await site.measure("humidity", slow, np.full(len(slow), 40.0))


async def test_every_point_gets_hours_and_local_days(site: Site) -> None:
    await two_days(site)
    await site.refresh()
    for name, value in (("energy", "delta"), ("temperature", "mean"), ("humidity", "mean")):
        hours, days = site.stored(name, "1h"), site.stored(name, "1d")
        assert hours.start.tolist() == list(range(MIDNIGHT, NOW, HOUR))
        assert days.start.tolist() == [MIDNIGHT, MIDNIGHT + DAY]
        expected = {"energy": KW, "temperature": 8.0, "humidity": 40.0}[name]
        assert getattr(hours, value).tolist() == pytest.approx([expected] * len(hours), rel=2e-3)
    assert site.stored("energy", "1d").delta[1] == pytest.approx(24 * KW)


async def test_an_hour_appears_when_it_is_over_and_nothing_else_is_sent_again(site: Site) -> None:
    await two_days(site)
    await site.refresh(NOW)
    await site.measure("humidity", np.array([NOW + 60 * 10**9]), np.array([41.0]))
    humidity = site.series("humidity")
    for quarter in (1, 2, 3, 4):
        blocks, _ = await site.refresh(NOW + quarter * QUARTER)
        assert rows(blocks, humidity, "1h") == ([NOW] if quarter == 4 else [])
    assert rows(blocks, humidity, "1d") == []
    blocks, _ = await site.refresh(NOW + 4 * QUARTER)
    assert blocks == []


async def test_late_samples_change_what_they_touch_and_nothing_else(site: Site) -> None:
    await two_days(site)
    await site.refresh()
    energy, role = site.series("energy"), site.series(IMPORT)
    assert site.stored("energy", "15m").completeness[40] < 50
    late = np.arange(MIDNIGHT + 10 * HOUR + 5 * MINUTE, MIDNIGHT + 10 * HOUR + 25 * MINUTE, PERIOD)
    # The meter's load was not even in the gap: more in its first half.
    bump = np.minimum(late - late[0], late[-1] - late) / HOUR * 30.0
    await site.measure("energy", late, register(late) + bump)

    blocks, results = await site.refresh(dirty=((energy, int(late[0]), int(late[-1])),))

    touched = [MIDNIGHT + 10 * HOUR, MIDNIGHT + 10 * HOUR + QUARTER]
    for series in (energy, role):
        assert rows(blocks, series, "15m") == touched
        assert rows(blocks, series, "1h") == [MIDNIGHT + 10 * HOUR]
        assert rows(blocks, series, "1d") == [MIDNIGHT]
        minutes = rows(blocks, series, "1m")
        assert min(minutes) == MIDNIGHT + 10 * HOUR + 5 * MINUTE
        assert max(minutes) < MIDNIGHT + 10 * HOUR + 25 * MINUTE
    assert {block.series for block in blocks} == {energy, role}
    assert site.stored("energy", "15m").completeness[40] == pytest.approx(100)
    assert site.stored(IMPORT, "1d").completeness[0] == pytest.approx(100)
    month = {result.kpi for result in results}
    assert {"peak_demand", "data_completeness"} <= month
    assert all(result.start <= touched[0] < result.end for result in results)


async def test_a_late_sample_of_a_gauge_holds_into_the_next_quarter(site: Site) -> None:
    time = np.array([MIDNIGHT, MIDNIGHT + 2 * HOUR])
    await site.measure("temperature", time, np.array([5.0, 6.0]))
    await site.refresh()
    at = MIDNIGHT + 3 * QUARTER - 60 * 10**9
    await site.measure("temperature", np.array([at]), np.array([9.0]))
    series = site.series("temperature")
    blocks, _ = await site.refresh(dirty=((series, at, at),))
    assert rows(blocks, series, "15m") == [MIDNIGHT + 2 * QUARTER, MIDNIGHT + 3 * QUARTER]


async def test_weeks_that_no_worker_saw_are_computed(site: Site) -> None:
    start = MIDNIGHT - 25 * DAY
    time = np.arange(start, NOW, MINUTE // 2, dtype=np.int64)
    await site.measure("energy", time, register(time))
    await site.store.compact()
    await site.refresh()
    quarters = site.stored("energy", "15m")
    assert len(quarters) == (NOW - start) // QUARTER
    assert quarters.delta[1:].tolist() == pytest.approx([KW / 4] * (len(quarters) - 1))
    assert site.stored(IMPORT, "1d").delta[1:].tolist() == pytest.approx([24 * KW] * 26)


async def test_an_import_that_reaches_beyond_unread_samples_does_not_hide_them(site: Site) -> None:
    time = np.arange(MIDNIGHT, NOW, PERIOD, dtype=np.int64)
    await site.measure("energy", time, register(time))
    await _import(site, MIDNIGHT - 2 * DAY, NOW, delta=1.0)
    await site.refresh(NOW - QUARTER, history_changed=True)
    quarters = site.stored("energy", "15m")
    inside = (quarters.start > MIDNIGHT) & (quarters.start < NOW - QUARTER)
    assert quarters.delta[inside].tolist() == pytest.approx([KW / 4] * int(inside.sum()))
    assert quarters.delta[: 2 * 96].tolist() == [1.0] * (2 * 96)


async def test_imported_quarters_become_hours_and_days_of_the_point(site: Site) -> None:
    await site.refresh()
    await _import(site, MIDNIGHT - 40 * DAY, MIDNIGHT, delta=1.0)
    blocks, _ = await site.refresh(history_changed=True)
    energy = site.series("energy")
    assert rows(blocks, energy, "15m") == []
    assert len(rows(blocks, energy, "1h")) == 40 * 24
    assert len(rows(blocks, energy, "1d")) == 40
    assert rows(blocks, energy, "1m") == []
    assert site.stored("energy", "1d").delta.tolist() == [96.0] * 40
    # Another worker finds everything in place.
    again = Site(site.store, site.model, Session(site.model))
    assert (await again.refresh())[0] == []


async def test_history_that_came_as_days_stays_as_it_came(site: Site) -> None:
    await _import(site, MIDNIGHT - 3 * DAY, MIDNIGHT, delta=500.0, resolution="1d", step=DAY)
    await site.refresh(history_changed=True)
    assert site.stored("energy", "1d").delta.tolist() == [500.0] * 3


async def test_rolling_demand_is_found_between_the_quarters(site: Site) -> None:
    """30 minutes at 90 kW from 10:07 to 10:37: no two quarter-hours have them whole, the minutes do."""
    time = np.arange(MIDNIGHT, NOW, PERIOD, dtype=np.int64)
    begin = MIDNIGHT + 10 * HOUR + 7 * MINUTE
    extra = np.clip(time - begin, 0, 30 * MINUTE) / HOUR * 30.0
    await site.measure("energy", time, register(time) + extra)
    _, results = await site.refresh()
    peak = next(result for result in results if result.kpi == "peak_demand")
    assert peak.details["rolling_30min_kw"] == pytest.approx(90.0)
    assert peak.details["block_30min_kw"] == pytest.approx(60 + 30 * 23 / 30)
    assert 20 < float(peak.details["minutes_share_percent"]) < 23


async def _import(
    site: Site, start: int, end: int, delta: float, resolution: str = "15m", step: int = QUARTER
) -> None:
    starts = np.arange(start, end, step, dtype=np.int64)
    n = len(starts)
    nothing, flags = np.full(n, np.nan), np.full(n, int(IntervalFlag.IMPORTED), np.uint16)
    columns = Intervals(
        starts, nothing, nothing, nothing, np.full(n, delta), np.ones(n), np.full(n, 100.0), flags
    )
    await site.store.put_intervals([IntervalBlock(site.series("energy"), resolution, columns)], bulk=True)
