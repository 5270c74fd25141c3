"""`heyzack scan`: what answers out there."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import config_option, duration_type
from gateway.cli.tables import table


@click.group("scan")
def command() -> None:
    """Look for devices. Nothing is written to them."""


@command.command("bacnet")
@config_option
@click.option("--link", help="The BACnet link of the configuration; by default the only one there is.")
@click.option(
    "--address", help="Instead of a link: this machine's address with its mask, such as 10.0.0.5/24."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help="With --address: the UDP port (47808)."
)
@click.option(
    "--ask", multiple=True, help="Ask this station only (ip or ip:port); may be given several times."
)
@click.option("--low", type=click.IntRange(0, 4194302), default=0, help="Lowest device instance.")
@click.option("--high", type=click.IntRange(0, 4194302), default=4194302, help="Highest device instance.")
@click.option(
    "--wait", "wait_s", type=duration_type, default="3s", show_default=True, help="Collect answers for."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def scan_bacnet(
    config: Path,
    link: str | None,
    address: str | None,
    port: int | None,
    ask: tuple[str, ...],
    low: int,
    high: int,
    wait_s: float,
    as_json: bool,
) -> None:
    """Who-Is: list the devices that answer. Exit code 1 when none does."""
    from drivers.bacnet import discovery
    from drivers.base import LinkError

    settings = _typed(address, port) if address else _configured(config, link, "bacnet")[1]
    try:
        found = asyncio.run(discovery.scan(settings, low, high, wait_s, ask))
    except LinkError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(device) for device in found], indent=2))
    else:
        headers = ("instance", "address", "name", "vendor", "model", "max APDU")
        rows = [(str(d.instance), d.address, d.name, d.vendor, d.model, str(d.max_apdu)) for d in found]
        click.echo(table(headers, rows, right=("instance", "max APDU")) if rows else "no device answered")
    raise SystemExit(0 if found else 1)


@command.command("modbus")
@config_option
@click.option("--link", help="The Modbus link of the configuration; by default the only one there is.")
@click.option("--host", help="Instead of a link: a Modbus TCP device or gateway.")
@click.option("--port", type=click.IntRange(1, 65535), default=502, show_default=True, help="With --host.")
@click.option("--units", default="1-16", show_default=True, help="Unit ids to ask, such as 1-247 or 1,3,17.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def scan_modbus(
    config: Path, link: str | None, host: str | None, port: int, units: str, as_json: bool
) -> None:
    """Ask each unit id for one register; any answer counts. Exit code 1 when none answers."""
    from drivers.base import LinkError
    from gateway.cli.discovery import modbus_units

    wanted = unit_range(units)
    if host:
        from drivers.modbus.settings import TcpLinkSettings

        driver, settings = "modbus-tcp", TcpLinkSettings(host=host, port=port)
    else:
        driver, settings = _configured(config, link, "modbus")
    try:
        found = asyncio.run(modbus_units(driver, settings, wanted))
    except LinkError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(unit) for unit in found], indent=2))
    else:
        rows = [(str(unit.unit_id), f"{unit.latency_ms:.1f}", unit.register_0) for unit in found]
        headers = ("unit", "ms", "holding register 0")
        click.echo(table(headers, rows, right=("unit", "ms")) if rows else "no unit answered")
    raise SystemExit(0 if found else 1)


@command.command("mqtt")
@config_option
@click.option("--link", help="The MQTT link of the configuration; by default the only one there is.")
@click.option("--topic", default="#", show_default=True, help="The topic filter to listen to.")
@click.option("--wait", "wait_s", type=duration_type, default="10s", show_default=True, help="Listen for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def scan_mqtt(config: Path, link: str | None, topic: str, wait_s: float, as_json: bool) -> None:
    """Listen to a broker: topics with their newest message. Exit code 1 when there is none."""
    from gateway.cli.discovery import mqtt_topics

    _, settings = _configured(config, link, "mqtt")
    try:
        found = mqtt_topics(settings, topic, wait_s)
    except OSError as error:
        host, port = settings.endpoint
        raise click.ClickException(f"broker {host}:{port}: {error}") from None
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(topic) for topic in found], indent=2))
    else:
        rows = [(one.topic, str(one.messages), one.payload) for one in found]
        headers = ("topic", "messages", "newest")
        click.echo(table(headers, rows, right=("messages",)) if rows else "no message came")
    raise SystemExit(0 if found else 1)


def unit_range(text: str) -> list[int]:
    """Unit ids of '1-16' or '1,3,17-20'. Raises UsageError."""
    ids: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise click.UsageError(f"'{text}' is no list of unit ids; write it like 1-16 or 1,3,17")
        ids.update(range(int(first), int(last or first) + 1))
    if not ids or max(ids) > 255:
        raise click.UsageError(f"'{text}': unit ids go from 0 to 255")
    return sorted(ids)


def _typed(address: str, port: int | None) -> Any:
    from pydantic import ValidationError

    from drivers.bacnet.settings import LinkSettings

    try:
        return LinkSettings.model_validate({"address": address} | ({"port": port} if port else {}))
    except ValidationError as error:
        raise click.UsageError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None


def _configured(config: Path, name: str | None, package: str) -> tuple[str, Any]:
    """Driver and settings of a configured link. Raises UsageError when it is not clear which."""
    from drivers.registry import KINDS
    from gateway.cli.loading import load_or_exit

    installation = load_or_exit(config)
    fitting = {n: link for n, link in installation.links.items() if KINDS[link.driver].package == package}
    if name is None and len(fitting) == 1:
        name = next(iter(fitting))
    if name is None or name not in fitting:
        which = f"link '{name}' is unknown" if name else "it is not clear which link is meant"
        known = f"{package} links are: {', '.join(fitting)}" if fitting else f"there is no {package} link"
        raise click.UsageError(f"{which}; {known}")
    return fitting[name].driver, fitting[name].settings
