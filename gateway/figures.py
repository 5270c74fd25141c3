"""The gateway's headline KPIs as figures for other systems: BACnet objects, Home Assistant sensors."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.base import Figure
from gateway.kpi.catalogue import catalogue, headline_kpis
from gateway.records import KpiResult
from gateway.snapshot import shown_kpis


def kpi_figures(results: Iterable[KpiResult], language: str) -> list[Figure]:
    """One figure for each headline KPI, named in the site's language, with what it means beside it."""
    known = catalogue()
    return [
        Figure(
            key=result.kpi,
            name=known[result.kpi].name.get(language, result.kpi),
            value=result.value,
            unit=result.unit,
            attributes={
                "target": result.target,
                "status": str(result.status),
                "evidence": result.evidence,
                "lower": result.lower,
                "upper": result.upper,
            },
        )
        for result in headline_kpis(shown_kpis(list(results)))
    ]
