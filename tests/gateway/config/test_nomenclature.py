"""docs/nomenclature.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from drivers.base import Quality
from drivers.units import CANONICAL
from gateway.config.roles import KNOWN_ROLES
from gateway.config.schema import ZONE_READINGS
from gateway.config.sections import KPI_IDS

PAGE = (Path(__file__).parents[3] / "docs" / "nomenclature.md").read_text(encoding="utf-8")


def test_every_quantity_has_its_canonical_unit() -> None:
    table = PAGE.split("<!-- quantities")[1].split("<!-- end -->")[0]
    rows = re.findall(r"^\| (\w+) \| (\S+) \|", table, re.MULTILINE)
    assert dict(row for row in rows if row[0] != "quantity") == CANONICAL


def test_every_quality_has_its_code() -> None:
    for quality in Quality:
        assert f"| {int(quality)} | {quality.name.lower()} |" in PAGE


def test_every_role_reading_and_kpi_is_listed() -> None:
    for role, (quantity, kind) in KNOWN_ROLES.items():
        assert f"| {role} | {quantity} | {kind} |" in PAGE
    for reading in ZONE_READINGS:
        assert f"- `{reading}`:" in PAGE
    for kpi, unit in KPI_IDS.items():
        assert f"| {kpi} | {unit} |" in PAGE
