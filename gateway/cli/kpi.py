"""`heyzack kpi`: what has been computed, read from the store on disk."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option
from gateway.cli.tables import moment, number, table
from gateway.records import KpiResult
from gateway.site import Installation

YEAR_NS = 366 * 86_400 * 10**9


@click.group("kpi")
def command() -> None:
    """Show KPI results. They are read from the store, so the gateway need not run."""


@command.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def list_kpis(config: Path, as_json: bool) -> None:
    """The newest result of every KPI. Exit code 1 when there is none yet."""
    installation = load_or_exit(config)
    results = _newest(installation)
    if as_json:
        click.echo(json.dumps([_plain(result) for result in results], indent=2))
    else:
        click.echo(_table(results, installation.site.timezone) if results else "no KPI has been computed yet")
    raise SystemExit(0 if results else 1)


@command.command("show")
@click.argument("kpi")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON list, the newest period last.")
def show_kpi(kpi: str, config: Path, as_json: bool) -> None:
    """A KPI's periods of the past year, with reason, model and inputs of the newest."""
    from gateway.store.reader import Reader

    installation = load_or_exit(config)
    now = time.time_ns()
    with Reader(installation.store.path) as reader:
        newest = [result for result in reader.kpis() if result.kpi == kpi]
        history = [
            result
            for one in newest
            for result in reader.kpi_history(kpi, one.cadence, one.scope, now - YEAR_NS, now)
        ]
    if not newest:
        from gateway.config.errors import suggest

        known = {result.kpi for result in _newest(installation)}
        hint = suggest(kpi, known, "there are results of") or "nothing has been computed yet"
        raise click.ClickException(f"there is no result of '{kpi}'; {hint}")
    if as_json:
        click.echo(json.dumps([_plain(result) for result in history], indent=2))
        return
    click.echo(_table(history or newest, installation.site.timezone))
    for result in newest:
        click.echo(_details(result))


@command.command("compute")
@config_option
@click.option(
    "--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First local day; default: a year ago."
)
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last local day; default: today.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, the oldest period of each KPI first.")
def compute_kpis(config: Path, first: datetime | None, last: datetime | None, as_json: bool) -> None:
    """Compute all KPIs again for the periods between two days, with the worker's own code.

    It reads the store beside a running gateway or without one, and stores nothing. Exit code 1 when there is
    nothing to compute.
    """
    from analytics.calendar import day_start
    from gateway.kpi.offline import compute_between

    installation = load_or_exit(config)
    zone, now = installation.site.timezone, time.time_ns()
    start = day_start(zone, first.date()) if first else now - YEAR_NS
    end = day_start(zone, last.date() + timedelta(days=1)) if last else now
    if end <= start:
        raise click.BadParameter("it is before --from", param_hint="--to")
    results = compute_between(installation, start, min(end, now), now)
    if as_json:
        click.echo(json.dumps([_plain(result) for result in results], indent=2))
    else:
        click.echo(_table(results, zone) if results else "the store has nothing of these days")
    raise SystemExit(0 if results else 1)


@command.command("explain")
@click.argument("kpi")
@config_option
def explain_kpi(kpi: str, config: Path) -> None:
    """A KPI's newest figure in words: what it is, its model, what it was made from, what would change it."""
    from gateway.config.errors import suggest
    from gateway.kpi.catalogue import catalogue
    from gateway.kpi.explain import model_in_words, what_would_change_it

    installation = load_or_exit(config)
    definition = catalogue().get(kpi)
    if definition is None:
        raise click.ClickException(f"there is no KPI '{kpi}'; {suggest(kpi, catalogue(), 'there are')}")
    click.echo(f"{definition.name['en']} ({kpi})\n  {definition.definition}\n  {definition.formula}")
    results = [r for r in _newest(installation) if r.kpi == kpi and r.cadence == definition.cadence]
    for result in results:
        click.echo("")
        click.echo(_table([result], installation.site.timezone))
        if words := model_in_words(result):
            click.echo(f"\nThe model\n  {words}")
        click.echo(_details(result))
        click.echo("\nWhat would change it")
        for sentence in what_would_change_it(result, definition):
            click.echo(f"  - {sentence}")
    if not results:
        click.echo(f"\nNothing has been computed yet. There is no figure when: {definition.undefined}")
    raise SystemExit(0 if results else 1)


def _newest(installation: Installation) -> list[KpiResult]:
    from gateway.store.reader import Reader

    with Reader(installation.store.path) as reader:
        return reader.kpis()


def _table(results: list[KpiResult], zone: ZoneInfo) -> str:
    headers = ("kpi", "cadence", "scope", "period from", "value", "low", "high", "unit", "target", "status",
               "evidence", "complete")  # fmt: skip
    rows = [
        (
            result.kpi,
            result.cadence,
            result.scope,
            moment(result.start, zone)[:10] + (" (so far)" if result.partial else ""),
            number(result.value),
            number(result.lower),
            number(result.upper),
            result.unit,
            number(result.target),
            str(result.status),
            result.evidence,
            f"{result.completeness:.1f} %",
        )
        for result in results
    ]
    return table(headers, rows, right=("value", "low", "high", "target", "complete"))


def _details(result: KpiResult) -> str:
    lines = [f"\n{result.kpi} ({result.cadence}, {result.scope})"]
    if result.reason:
        lines.append(f"  reason:  {result.reason}")
    if result.model_id:
        lines.append(f"  model:   {result.model_id}")
    lines += [f"  input:   {name}" for name in result.inputs]
    lines += [f"  {key}: {value}" for key, value in result.details.items()]
    return "\n".join(lines)


def _plain(result: KpiResult) -> Any:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(result)
    plain.pop("type", None)
    return plain
