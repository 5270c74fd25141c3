"""`heyzack status`: what the running gateway says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from gateway.cli.client import base_url, call, url_option
from gateway.cli.options import config_option
from gateway.cli.tables import moment, number, size, table


@click.command("status")
@config_option
@url_option
@click.option("--json", "as_json", is_flag=True, help="The API's own object.")
def command(config: Path, url: str | None, as_json: bool) -> None:
    """Show devices, cloud, store and alarms of the running gateway.

    Exit code 0: ready, every device answers, no alarm. 1: something needs attention, or nobody answers.
    """
    code, status = call(base_url(url, config), "/api/v1/status")
    if code != 200:
        raise click.ClickException(f"the gateway answered with HTTP status {code}")
    click.echo(json.dumps(status, indent=2) if as_json else describe(status))
    well = status["ready"] and all(d["online"] for d in status["devices"]) and not status["alarms"]
    raise SystemExit(0 if well else 1)


def describe(status: dict[str, Any]) -> str:
    """The status as text."""
    zone = ZoneInfo(status["timezone"])
    parts = [_headline(status, zone), _devices(status, zone), _sinks(status, zone), _store(status["store"])]
    if status["alarms"]:
        parts.append(
            "\n".join(f"alarm since {moment(a['raised'], zone)}: {a['message']}" for a in status["alarms"])
        )
    return "\n\n".join(part for part in parts if part)


def _headline(status: dict[str, Any], zone: ZoneInfo) -> str:
    devices = status["devices"]
    online = sum(device["online"] for device in devices)
    ready = "ready" if status["ready"] else f"not ready: {', '.join(status['not_ready_because'])}"
    return (
        f"{status['name']}: {ready}, since {moment(status['started'], zone)}; {online} of {len(devices)} "
        f"devices answer; {len(status['alarms'])} alarms; worker {status['worker']}"
    )


def _devices(status: dict[str, Any], zone: ZoneInfo) -> str:
    rows = [
        (
            device["device"],
            "online"
            if device["online"]
            else f"{device['fault'] or 'silent'} {device['fault_detail']}".strip(),
            f"{device['points_good']}/{device['points']}",
            number(device["latency_ms"]),
            moment(device["last_answer"], zone),
            device["address"],
        )
        for device in status["devices"]
    ]
    headers = ("device", "state", "good", "ms", "last answer", "address")
    return table(headers, rows, right=("good", "ms"))


def _sinks(status: dict[str, Any], zone: ZoneInfo) -> str:
    rows = [
        (
            sink["sink"],
            "connected" if sink["connected"] else f"down: {sink['last_error']}",
            str(sink["backlog"]),
            str(sink["acknowledged"]),
            str(sink["dead_letters"]),
            moment(sink["last_success"], zone),
        )
        for sink in status["sinks"]
    ]
    headers = ("sink", "state", "waiting", "acknowledged", "refused", "last success")
    return (
        table(headers, rows, right=("waiting", "acknowledged", "refused")) if rows else "no sink configured"
    )


def _store(store: dict[str, Any]) -> str:
    room = f", room for {store['room_s'] / 86400:.0f} days without the cloud" if store["room_s"] else ""
    lost = f", {store['dropped']} dropped" if store["dropped"] else ""
    return (
        f"store {store['path']}: {store['samples_committed']} samples committed, {size(store['bytes_used'])} "
        f"of {size(store['bytes_cap'])}{room}{lost}"
    )
