"""The catalogue and the factor tables, as shipped."""

from __future__ import annotations

import pytest

from analytics.calendar import Cadence
from gateway.kpi.catalogue import catalogue, factor_table, headline_kpis
from gateway.records import KpiResult

TARGETS = {
    "energy_savings": ("%", "monthly", 20),
    "peak_load_reduction": ("%", "weekly", 15),
    "predictive_accuracy": ("%", "weekly", 90),
    "automation_success": ("%", "daily", 95),
    "carbon_reduction": ("%", "monthly", 25),
    "water_conservation": ("%", "monthly", 15),
    "waste_reduction": ("%", "monthly", 20),
    "green_energy_usage": ("%", "monthly", 30),
    "system_uptime": ("%", "daily", 99.9),
}


@pytest.mark.parametrize("kpi", TARGETS)
def test_the_published_targets(kpi: str) -> None:
    known = catalogue()[kpi]
    assert (known.unit, known.cadence, known.target) == TARGETS[kpi]


def test_every_kpi_says_what_it_is_and_what_to_do() -> None:
    for known in catalogue().values():
        assert known.cadence in set(Cadence)
        assert set(known.name) == {"en", "fr"}
        assert known.definition
        assert known.formula
        assert known.why
        assert known.owner
        assert known.actions
        assert known.sources


def test_every_factor_table_says_where_it_comes_from() -> None:
    for name in ("fr-gas", "fr-gas-pci", "fr-location-hourly"):
        table = factor_table(name)
        assert table is not None
        assert table.name == name
        assert table.source
        assert table.scope == "direct"
        assert table.valid_from


def test_a_profile_that_is_no_measurement_says_so() -> None:
    table = factor_table("fr-location-hourly")
    assert table is not None
    assert table.status == "illustrative"
    assert [len(row) for row in table.values] == [24] * 12


@pytest.mark.parametrize("name", ["no-such-table", "../../site", ""])
def test_an_unknown_factor_table_is_none(name: str) -> None:
    assert factor_table(name) is None


def test_headlines_are_one_for_each_kpi_the_important_first() -> None:
    def result(kpi: str, cadence: str, scope: str = "site") -> KpiResult:
        return KpiResult(kpi=kpi, cadence=cadence, scope=scope, start=0, end=1, unit="%", value=1.0)

    results = [
        result("water_use", "monthly"),
        result("energy_savings", "monthly"),
        result("energy_savings", "weekly"),
        result("energy_savings", "monthly", "zone-1"),
        result("system_uptime", "daily"),
    ]
    assert [kpi.kpi for kpi in headline_kpis(results)] == ["energy_savings", "system_uptime", "water_use"]
