"""`heyzack kpi compute` and `kpi explain`: the past again, offline, and a figure in words."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner, Result

from analytics.calendar import to_ns
from gateway.cli import main
from gateway.config import load
from gateway.kpi.catalogue import catalogue
from gateway.kpi.explain import model_in_words, what_would_change_it
from gateway.points import register
from gateway.records import KpiResult
from gateway.store.columns import IntervalBlock, Intervals
from gateway.store.reader import Reader
from gateway.store.store import Store

PARIS = ZoneInfo("Europe/Paris")
SITE = """
site: {id: hall, name: Hall, timezone: Europe/Paris, area_m2: 1000, country: FR}
links:
  plant: {driver: modbus-tcp, host: 127.0.0.1}
devices:
  main: {link: plant, unit_id: 1, template: schneider/iem3155, every: 10s}
roles:
  site.electricity.import: main/energy_import
store: {path: state}
"""


def heyzack(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def day(year: int, month: int) -> int:
    return to_ns(datetime(year, month, 1, tzinfo=PARIS))


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A hall that drew 2 kWh in every quarter-hour of 2025, and no gateway."""
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    installation = load(tmp_path)
    start = np.arange(day(2025, 1), day(2026, 1), 900 * 10**9, dtype=np.int64)
    n, nothing = len(start), np.full(len(start), np.nan)
    columns = Intervals(
        start,
        nothing,
        nothing,
        nothing,
        np.full(n, 2.0),
        np.ones(n),
        np.full(n, 100.0),
        np.ones(n, np.uint16),
    )

    async def fill() -> None:
        store = Store.open(
            installation.store.path, now=lambda: to_ns(datetime.now(UTC)), settings=installation.store
        )
        ids = register(store.catalogue, installation)
        await store.put_intervals([IntervalBlock(ids["main", "energy_import"], "15m", columns)], bulk=True)
        await store.close()

    asyncio.run(fill())
    return str(tmp_path)


def test_the_past_is_computed_again_without_a_gateway(config: str) -> None:
    result = heyzack(
        "kpi", "compute", "--config", config, "--from", "2025-03-01", "--to", "2025-04-30", "--json"
    )
    assert result.exit_code == 0
    use = [row for row in json.loads(result.stdout) if row["kpi"] == "energy_use"]
    assert [row["start"] for row in use] == [day(2025, 3), day(2025, 4)]
    # March has an hour less than its days say.
    assert [row["value"] for row in use] == [2.0 * (31 * 96 - 4), 2.0 * 30 * 96]
    assert not any(row["partial"] for row in use)


def test_nothing_is_stored_by_computing(config: str) -> None:
    assert heyzack("kpi", "compute", "--config", config, "--from", "2025-03-01").exit_code == 0
    with Reader(Path(config) / "state") as reader:
        assert reader.kpis() == []


def test_days_in_the_wrong_order_are_refused(config: str) -> None:
    result = heyzack("kpi", "compute", "--config", config, "--from", "2025-03-01", "--to", "2025-02-01")
    assert result.exit_code == 2
    assert "before --from" in result.stderr


def test_an_unknown_kpi_is_met_with_a_hint(config: str) -> None:
    result = heyzack("kpi", "explain", "energy_saving", "--config", config)
    assert result.exit_code == 1
    assert "energy_savings" in result.stderr


def test_a_kpi_without_a_figure_says_when_it_has_none(config: str) -> None:
    result = heyzack("kpi", "explain", "energy_savings", "--config", config)
    assert result.exit_code == 1
    assert "no figure when: No baseline period" in result.stdout


def test_a_daily_model_is_told_by_its_coefficients() -> None:
    result = figure(
        model_id="caltrack-daily:hdd",
        details={"mu": 400.0, "beta_h": 12.5, "beta_c": 0.0, "balance_h": 14.0},
    )
    assert model_in_words(result) == (
        "The building uses 400 kWh a day, plus 12.5 kWh for each degree below 14 degC"
        " of the day's mean outdoor temperature."
    )


def test_the_way_to_the_target_and_the_band_are_said() -> None:
    said = what_would_change_it(figure(), catalogue()["energy_savings"])
    assert "Its 90 % band reaches 3 % to each side: a smaller change cannot be told." in said
    assert "The target of 20 % is 5 % away." in said


def figure(**what: object) -> KpiResult:
    given = {"value": 15.0, "lower": 12.0, "upper": 18.0, "target": 20.0, "completeness": 100.0}
    return KpiResult(
        kpi="energy_savings", cadence="monthly", scope="site", start=0, end=1, unit="%", **{**given, **what}
    )  # type: ignore[arg-type]
