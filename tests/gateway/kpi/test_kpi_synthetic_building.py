"""The KPIs of a building whose true saving is known, over 25 months, through the worker's session."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from analytics.calendar import DAY, HOUR, to_ns
from analytics.flags import IntervalFlag
from gateway.kpi.messages import ComputedIntervals, ComputedKpis, PointModel, Refresh, RoleModel, SiteModel
from gateway.kpi.session import Session
from gateway.records import KpiResult, Status
from gateway.store.columns import Intervals
from gateway.store.history import Samples
from gateway.web.kpi_views import BASELINE_UNITS
from simulators.building import Building

PARIS = ZoneInfo("Europe/Paris")


def day(year: int, month: int, number: int) -> int:
    return to_ns(datetime(year, month, number, tzinfo=PARIS))


START, RETROFIT, NOW = day(2024, 10, 22), day(2025, 11, 1), day(2026, 11, 22) + 15 * HOUR
ROOMS = ("room-101", "room-102", "room-103", "lobby")
ROLES = {
    "site.electricity.import": "main-meter/energy_import",
    "site.electricity.export": "main-meter/energy_export",
    "site.pv.generation": "pv-meter/energy_import",
    "site.gas": "gas-meter/volume * 10.6",
    "site.water": "water-meter/volume",
    "outdoor.temperature": "roof/temperature",
    "occupancy": f"sum({', '.join(f'{room}/occupancy' for room in ROOMS)})",
}
POINTS = (
    "main-meter/energy_import",
    "main-meter/energy_export",
    "pv-meter/energy_import",
    "gas-meter/volume",
    "water-meter/volume",
    "roof/temperature",
    *(f"{room}/occupancy" for room in ROOMS),
)
GAUGES = ("temperature", "occupancy")


class Past:
    """A reader whose points have 25 months of imported quarter-hours and no samples but heartbeats."""

    def __init__(self, building: Building) -> None:
        self._series = {}
        for number, name in enumerate(POINTS, 1):
            c = building.intervals(*name.split("/"), START, NOW)
            n = len(c["start"])
            self._series[number] = Intervals(
                c["start"], c["mean"], c["min"], c["max"], c["delta"], np.ones(n), np.full(n, 100.0),
                np.full(n, int(IntervalFlag.IMPORTED), np.uint16),
            )  # fmt: skip

    def samples(self, series: int, start_ns: int, end_ns: int) -> Samples:
        if series != 99:
            return Samples.empty()
        beats = np.arange(NOW - 2 * DAY, NOW, 60 * 10**9, dtype=np.int64)
        beats = beats[(beats < NOW - 10 * HOUR) | (beats >= NOW - 9 * HOUR)]
        return Samples(beats, np.ones(len(beats)), np.zeros(len(beats), np.uint8))

    def intervals(self, series: int, resolution: str, start_ns: int, end_ns: int) -> Intervals:
        known = self._series.get(series) if resolution == "15m" else None
        if known is None:
            nothing = np.empty(0)
            return Intervals(np.empty(0, np.int64), *([nothing] * 6), np.empty(0, np.uint16))
        begin, end = np.searchsorted(known.start, (start_ns, end_ns)).tolist()
        names = ("start", "mean", "min", "max", "delta", "count", "completeness", "flags")
        return Intervals(*(getattr(known, name)[begin:end] for name in names))

    def oldest_sample_time(self, series: int) -> int:
        return 0

    def newest_interval_start(self, series: int, resolution: str) -> int:
        known = self._series.get(series) if resolution == "15m" else None
        return int(known.start[-1]) if known is not None else 0


def model() -> SiteModel:
    points = tuple(
        PointModel(i, *name.split("/"), "gauge" if name.endswith(GAUGES) else "counter", 30.0)
        for i, name in enumerate(POINTS, 1)
    )
    roles = tuple(
        RoleModel(100 + i, name, text, "gauge" if name.endswith(GAUGES) else "counter", "kWh")
        for i, (name, text) in enumerate(ROLES.items())
    )
    return SiteModel(
        "paris-hq", "Europe/Paris", "unused", 5600.0, points, roles, 99, 130.0,
        "2024-11-01", "2025-10-31", "2025-11-01", {},
        {"electricity": "fr-location-hourly", "gas": "fr-gas"}, "FR",
    )  # fmt: skip


class Run:
    """One session, refreshed once, then once more."""

    def __init__(self) -> None:
        self.building = Building(11, RETROFIT)
        past, session = Past(self.building), Session(model())
        sent: list[ComputedIntervals | ComputedKpis] = []
        session.refresh(past, Refresh(NOW, NOW, history_changed=True), sent.append)
        self.blocks = [m for m in sent if isinstance(m, ComputedIntervals)]
        self.results = [r for m in sent if isinstance(m, ComputedKpis) for r in m.results]
        self.again: list[ComputedIntervals | ComputedKpis] = []
        started = time.process_time()
        session.refresh(past, Refresh(NOW, NOW), self.again.append)
        self.warm_s = time.process_time() - started

    def of(self, kpi: str) -> list[KpiResult]:
        return [result for result in self.results if result.kpi == kpi]


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def test_the_band_of_energy_savings_contains_the_truth(run: Run) -> None:
    """A 90 % band may miss one month in ten; of twelve, three missed would refute it."""
    missed = []
    for result in run.of("energy_savings"):
        if result.partial:
            continue
        truth = run.building.true_saving(result.start, result.end)
        percent = 100 * (1 - truth.consumption / truth.consumption_without)
        assert result.lower is not None
        assert result.upper is not None
        if not result.lower <= percent <= result.upper:
            missed.append((result.start, percent))
    assert len(run.of("energy_savings")) == 13
    assert len(missed) <= 2, missed


def test_a_year_of_savings_comes_near_the_truth(run: Run) -> None:
    whole = [r for r in run.of("energy_savings") if not r.partial]
    found = sum(r.details["avoided_kwh"] for r in whole) / sum(r.baseline or 0 for r in whole)  # type: ignore[misc]
    truth = run.building.true_saving(whole[0].start, whole[-1].end)
    assert found == pytest.approx(1 - truth.consumption / truth.consumption_without, abs=0.03)


def test_water_is_measured_and_its_saving_near_the_truth(run: Run) -> None:
    truth = run.building.true_saving(day(2026, 10, 1), day(2026, 11, 1))
    used, saved = run.of("water_use")[-2], run.of("water_conservation")[-2]
    assert used.value == pytest.approx(truth.water, rel=1e-6)
    assert saved.value == pytest.approx(100 * (1 - truth.water / truth.water_without), abs=5)
    assert saved.evidence == "indicative"


def test_energy_use_is_what_the_building_used(run: Run) -> None:
    truth = run.building.true_saving(day(2026, 10, 1), day(2026, 11, 1))
    result = run.of("energy_use")[-2]
    assert result.value == pytest.approx(truth.consumption + truth.gas, rel=0.01)
    intensity = run.of("energy_intensity")[-2]
    assert intensity.value == pytest.approx((result.value or 0) / 5600)


def test_the_peak_is_the_highest_quarter_hour(run: Run) -> None:
    truth = run.building.true_saving(day(2026, 10, 1), day(2026, 11, 1))
    assert run.of("peak_demand")[-2].value == pytest.approx(truth.peak, rel=1e-6)


def test_every_figure_has_its_lineage(run: Run) -> None:
    for name in ("energy_savings", "carbon_reduction", "peak_load_reduction", "water_conservation"):
        result = run.of(name)[-2]
        assert result.value is not None
        assert result.target is not None
        assert result.status is not Status.UNDEFINED
        assert result.completeness == pytest.approx(100)
        assert result.model_id
        assert "baseline 2024-11-01/2025-10-31" in result.inputs
    assert "factors fr-gas@2006.1" in run.of("carbon_reduction")[-1].inputs


def test_baselines_have_the_unit_the_page_gives_them(run: Run) -> None:
    """The page prints `baseline` with BASELINE_UNITS; the same quantity stands in the details by its unit."""
    twins = {
        "energy_savings": ("predicted_kwh", "kWh"),
        "carbon_reduction": ("predicted_kg", "kgCO2e"),
        "peak_load_reduction": ("counterfactual_kw", "kW"),
        "water_conservation": ("expected_m3", "m3"),
    }
    with_baseline = [result for result in run.results if result.baseline is not None]
    assert {result.kpi for result in with_baseline} == set(twins)
    for result in with_baseline:
        detail, unit = twins[result.kpi]
        assert result.baseline == pytest.approx(result.details[detail])
        assert BASELINE_UNITS[result.kpi] == unit


def test_an_illustrative_factor_table_never_verifies(run: Run) -> None:
    for name in ("carbon_emissions", "carbon_reduction"):
        assert {result.evidence for result in run.of(name)} <= {"indicative", "rejected"}


def test_nothing_is_saved_before_the_works(run: Run) -> None:
    assert min(result.start for result in run.of("energy_savings")) == RETROFIT


def test_what_has_no_data_says_why(run: Run) -> None:
    (commands,) = run.of("automation_success")
    assert (commands.value, commands.status, commands.reason) == (None, Status.UNDEFINED, "no commands")
    (waste,) = run.of("waste_reduction")
    assert (waste.value, waste.status) == (None, Status.NOT_ENTERED)


def test_an_hour_without_heartbeats_is_downtime(run: Run) -> None:
    today = run.of("system_uptime")[-1]
    assert today.details["failures"] == 1
    assert today.details["down_s"] == pytest.approx(3600, abs=150)
    assert today.status is not Status.ON_TRACK


def test_no_result_carries_a_nan(run: Run) -> None:
    for result in run.results:
        assert msgspec.json.encode(result)
        for value in (result.value, result.lower, result.upper, result.baseline, result.attainment):
            assert value is None or math.isfinite(value)


def test_role_intervals_are_made_for_all_history(run: Run) -> None:
    rows = {}
    for message in run.blocks:
        key = (message.series, message.resolution)
        rows[key] = rows.get(key, 0) + len(message.block().intervals)
    assert rows[100, "15m"] == (NOW - START) // (900 * 10**9)
    assert rows[100, "1d"] == (datetime(2026, 11, 22, tzinfo=UTC) - datetime(2024, 10, 22, tzinfo=UTC)).days


def test_a_refresh_without_news_sends_nothing_and_is_quick(run: Run) -> None:
    assert run.again == []
    assert run.warm_s < 2.0
