"""The catalogue as the KPI section of docs/kpis.md: `python -m gateway.kpi.handbook` writes it there.

A test holds the page to what this makes of the catalogue, so that they cannot drift.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.kpi.catalogue import KpiDefinition, catalogue

BEGIN = "<!-- the catalogue begins: written by python -m gateway.kpi.handbook -->"
END = "<!-- the catalogue ends -->"
PAGE = Path(__file__).parents[2] / "docs" / "kpis.md"


def handbook() -> str:
    """Every KPI of the catalogue, in its order, as Markdown."""
    return "\n\n".join(_section(known) for known in catalogue().values())


def with_handbook(page: str) -> str:
    """The page with its catalogue section written anew. Raises ValueError when it has no markers."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError("the page has no place for the catalogue")
    return f"{before}{BEGIN}\n\n{handbook()}\n\n{END}{after}"


def _section(known: KpiDefinition) -> str:
    lines = [
        f"### {known.name['en']} (`{known.id}`)",
        "",
        known.definition,
        "",
        "| | |",
        "|---|---|",
        f"| Formula | {known.formula} |",
        f"| Made from | {', '.join(known.sources)} |",
        f"| Unit, cadence | {known.unit}, {known.cadence} |",
        f"| Target | {_target(known)} |",
    ]
    if known.baseline:
        lines.append(f"| Baseline | {known.baseline} |")
    lines += [f"| No figure when | {known.undefined} |", f"| Why it matters | {known.why} |"]
    if known.risks:
        lines.append(f"| Read with care | {known.risks} |")
    lines += [f"| What to do | {'; '.join(action.rstrip('.') for action in known.actions)}. |"]
    lines.append(f"| Owner, collection | {known.owner}, {known.collection} |")
    return "\n".join(lines)


def _target(known: KpiDefinition) -> str:
    if known.target is None:
        return "none"
    sign = "at most" if known.lower_is_better else "at least"
    text = f"{sign} {known.target:g} {known.unit}"
    if known.interim is not None:
        i = known.interim
        text += f" (after 30 days {i.days_30:g}, 90 days {i.days_90:g}, 1 year {i.year_1:g})"
    return text


def main() -> None:
    PAGE.write_text(with_handbook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE}: {len(catalogue())} KPIs\n")


if __name__ == "__main__":
    main()
