"""`heyzack alarm`: what is wrong, and what was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from gateway.cli.client import base_url, call, url_option
from gateway.cli.options import config_option
from gateway.cli.tables import moment, table
from gateway.records import Severity


@click.group("alarm")
def command() -> None:
    """Alarms of the running gateway."""


@command.command("list")
@config_option
@url_option
@click.option("--all", "everything", is_flag=True, help="Also those that were cleared in the last 7 days.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def list_alarms(config: Path, url: str | None, everything: bool, as_json: bool) -> None:
    """Open alarms, the most severe first. Exit code 1 when there is one."""
    base = base_url(url, config)
    code, answer = call(base, "/api/v1/alarms" + ("?state=all" if everything else ""))
    if code != 200:
        raise click.ClickException(f"the gateway answered with HTTP status {code}")
    alarms = answer["alarms"]
    if as_json:
        click.echo(json.dumps(alarms, indent=2))
    elif alarms:
        _, status = call(base, "/api/v1/status")
        click.echo(describe(alarms, ZoneInfo(status["timezone"])))
    else:
        click.echo("no alarm")
    raise SystemExit(1 if any(not alarm["cleared"] for alarm in alarms) else 0)


def describe(alarms: list[dict[str, Any]], zone: ZoneInfo) -> str:
    """Alarms as a table in the site's zone."""
    rows = [
        (
            Severity(alarm["severity"]).name.lower(),
            alarm["source"],
            alarm["kind"],
            moment(alarm["raised"], zone),
            moment(alarm["cleared"], zone) if alarm["cleared"] else "open",
            alarm["message"],
        )
        for alarm in alarms
    ]
    return table(("severity", "source", "kind", "raised", "cleared", "message"), rows)
