"""The KPI catalogue and the factor tables of configs/kpis, as frozen objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from ruamel.yaml import YAML

from gateway.records import KpiResult

HEADLINES = (
    "energy_savings",
    "peak_load_reduction",
    "carbon_reduction",
    "green_energy_usage",
    "water_conservation",
    "system_uptime",
    "data_completeness",
    "automation_success",
)
"""What is named first; the others follow in the catalogue's order."""


class Interim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Targets on the way, in the KPI's unit."""

    days_30: float
    days_90: float
    year_1: float


class KpiDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One KPI of the catalogue: what it means, how it is made, what is wanted of it, whose it is. undefined:
    when there is no figure."""

    id: str
    name: dict[str, str]
    unit: str
    cadence: str
    definition: str
    formula: str
    sources: tuple[str, ...]
    why: str
    actions: tuple[str, ...]
    owner: str
    undefined: str
    baseline: str = ""
    risks: str = ""
    target: float | None = None
    lower_is_better: bool = False
    interim: Interim | None = None
    collection: str = "automated"
    accreditation: str = ""


class FactorTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A versioned table of emission factors [kgCO2e/kWh].

    kind: 'constant' (value) or 'month_hour' (values: 12 rows of 24, local time). scope: direct or life_cycle,
    never mixed. status: 'published', or 'illustrative' for a table that is no measurement.
    """

    name: str
    version: str
    carrier: str
    unit: str
    kind: str
    scope: str
    method: str
    status: str
    source: str
    valid_from: str
    valid_to: str
    value: float | None = None
    values: tuple[tuple[float, ...], ...] = ()
    notes: str = ""

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, KpiDefinition]:
    """KPI id -> definition, in the order of the catalogue's files. Raises ValueError on a duplicate id."""
    found: dict[str, KpiDefinition] = {}
    folder = files("configs") / "kpis"
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".yaml"):
            continue
        for definition in msgspec.convert(_yaml(entry), list[KpiDefinition]):
            if definition.id in found:
                raise ValueError(f"{entry.name}: KPI {definition.id} is defined twice")
            found[definition.id] = definition
    return found


@lru_cache(maxsize=16)
def factor_table(name: str) -> FactorTable | None:
    """The factor table of that name; None when there is none."""
    entry = files("configs") / "kpis" / "factors" / f"{name}.yaml"
    if not name.replace("-", "").replace("_", "").isalnum() or not entry.is_file():
        return None
    return msgspec.convert(_yaml(entry), FactorTable)


def headline_kpis(results: Iterable[KpiResult]) -> list[KpiResult]:
    """One result for each KPI, at its catalogue cadence for the whole site, the important ones first."""
    known = catalogue()
    chosen = {
        result.kpi: result
        for result in results
        if result.scope == "site" and result.kpi in known and result.cadence == known[result.kpi].cadence
    }
    order = [*HEADLINES, *(name for name in known if name not in HEADLINES)]
    return [chosen[name] for name in order if name in chosen]


def _yaml(entry: Traversable) -> object:
    return YAML(typ="safe").load(entry.read_text(encoding="utf-8"))
