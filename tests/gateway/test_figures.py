"""What other systems are shown of the KPIs."""

from __future__ import annotations

from gateway.figures import kpi_figures
from gateway.records import KpiResult, Status

DAY = 86_400_000_000_000


def result(kpi: str, value: float | None, start: int = 0, cadence: str = "monthly") -> KpiResult:
    return KpiResult(
        kpi=kpi,
        cadence=cadence,
        scope="site",
        start=start,
        end=start + DAY,
        unit="%",
        value=value,
        target=20.0,
        status=Status.ON_TRACK,
        evidence="verified",
    )


def test_a_kpi_is_shown_once_with_its_newest_value_and_its_name_in_the_sites_language() -> None:
    results = [result("energy_savings", 18.0), result("energy_savings", 21.0, start=DAY)]
    (english,) = kpi_figures(results, "en")
    (french,) = kpi_figures(results, "fr")
    assert (english.key, english.value, english.unit) == ("energy_savings", 21.0, "%")
    assert english.name != french.name
    assert english.attributes is not None
    assert english.attributes["status"] == "on_track"


def test_a_kpi_without_a_value_is_shown_as_having_none() -> None:
    (figure,) = kpi_figures([result("energy_savings", None)], "en")
    assert figure.value is None
