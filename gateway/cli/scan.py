"""`heyzack scan`: what answers out there, and with `--write` a device map of it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from gateway.cli.mapwriting import map_options, save, where
from gateway.cli.options import config_option, duration_type
from gateway.cli.progress import steps
from gateway.cli.read import endpoint
from gateway.cli.tables import table
from gateway.installer.devicemap import MapDevice


@click.group("scan")
def command() -> None:
    """Look for devices. Nothing is written to them; --write FOLDER writes what was found as a device map."""


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
@map_options
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
    write: Path | None,
    force: bool,
) -> None:
    """Who-Is: list the devices that answer, with --write their objects too. Exit code 1 when none does."""
    from drivers.bacnet import discovery
    from drivers.base import LinkError

    link_keys: dict[str, Any] | None = None
    if address:
        settings = _typed(address, port)
        link = link or "bms"
        link_keys = {"driver": "bacnet", "address": address, "port": settings.port}
    else:
        link, _, settings = _configured(config, link, "bacnet")
    try:
        with steps(None, "Who-Is", as_json):
            found = asyncio.run(discovery.scan(settings, low, high, wait_s, ask))
        maps = _described(settings, found, link, as_json) if write and found else []
    except LinkError as error:
        raise click.ClickException(str(error)) from None
    if write and found:
        save(write, "bacnet", maps, force=force, link=(link, link_keys) if link_keys else None)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(device) for device in found], indent=2))
    else:
        headers = ("instance", "address", "name", "vendor", "model", "max APDU")
        rows = [(str(d.instance), d.address, d.name, d.vendor, d.model, str(d.max_apdu)) for d in found]
        click.echo(table(headers, rows, right=("instance", "max APDU")) if rows else "no device answered")
        where(write, maps)
    raise SystemExit(0 if found else 1)


@command.command("modbus")
@config_option
@click.option("--link", help="The Modbus link of the configuration; by default the only one there is.")
@click.option(
    "--host", "hosts", multiple=True, help="Instead of a link: a device or gateway, HOST or HOST:PORT. Again."
)
@click.option("--port", type=click.IntRange(1, 65535), default=502, show_default=True, help="With --host.")
@click.option("--units", default="1-16", show_default=True, help="Unit ids to ask, such as 1-247 or 1,3,17.")
@click.option("--timeout", type=duration_type, default="500ms", show_default=True, help="With --host.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@map_options
def scan_modbus(
    config: Path,
    link: str | None,
    hosts: tuple[str, ...],
    port: int,
    units: str,
    timeout: float,
    as_json: bool,
    write: Path | None,
    force: bool,
) -> None:
    """Ask each unit id for one register; any answer counts. Exit code 1 when none answers.

    With --write, each unit is identified: by its own word, or by the template whose values make sense. What
    stays unknown becomes a commented block of candidates.
    """
    from drivers.base import LinkError

    wanted = unit_range(units)
    if write and not hosts:
        raise click.UsageError("--write needs --host: a device of the map has its own host")
    try:
        if hosts:
            rows, maps = asyncio.run(_modbus_hosts(hosts, port, wanted, timeout, as_json, write))
        else:
            _, driver, settings = _configured(config, link, "modbus")
            rows, maps = asyncio.run(_modbus_link(driver, settings, wanted, as_json)), []
    except LinkError as error:
        raise click.ClickException(str(error)) from None
    if write and maps:
        save(write, "modbus", maps, force=force)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        headers = ("at", "unit", "ms", "says of itself", "taken for", "holding register 0")
        cells = [
            (r["at"], str(r["unit_id"]), f"{r['latency_ms']:.1f}", r["says"] or "-", r["template"] or "-",
             r["register_0"])
            for r in rows
        ]  # fmt: skip
        click.echo(table(headers, cells, right=("unit", "ms")) if rows else "no unit answered")
        where(write, maps)
    raise SystemExit(0 if rows else 1)


@command.command("mqtt")
@config_option
@click.option("--link", help="The MQTT link of the configuration; by default the only one there is.")
@click.option("--broker", help="Instead of a link: HOST or HOST:PORT of a broker without a password.")
@click.option("--topic", default="#", show_default=True, help="The topic filter to listen to.")
@click.option("--wait", "wait_s", type=duration_type, default="10s", show_default=True, help="Listen for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@map_options
def scan_mqtt(
    config: Path,
    link: str | None,
    broker: str | None,
    topic: str,
    wait_s: float,
    as_json: bool,
    write: Path | None,
    force: bool,
) -> None:
    """Listen to a broker: topics with their newest message. Exit code 1 when there is none."""
    from gateway.cli.discovery import mqtt_topics
    from gateway.installer.mapping import mqtt_devices

    link_keys: dict[str, Any] | None = None
    if broker:
        from drivers.mqtt.settings import LinkSettings

        name, port = endpoint(broker, 1883)
        settings: Any = LinkSettings(host=name, port=port)
        link = link or "broker"
        link_keys = {"driver": "mqtt", "host": name, "port": port}
    else:
        link, _, settings = _configured(config, link, "mqtt")
    try:
        with steps(None, "listening", as_json):
            found = mqtt_topics(settings, topic, wait_s)
    except OSError as error:
        host, port = settings.endpoint
        raise click.ClickException(f"broker {host}:{port}: {error}") from None
    maps = mqtt_devices({one.topic: one.payload for one in found}, link) if write else []
    if write and maps:
        save(write, "mqtt", maps, force=force, link=(link, link_keys) if link_keys else None)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(topic) for topic in found], indent=2))
    else:
        rows = [(one.topic, str(one.messages), one.payload[:120]) for one in found]
        headers = ("topic", "messages", "newest")
        click.echo(table(headers, rows, right=("messages",)) if rows else "no message came")
        where(write, maps)
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


async def _modbus_hosts(
    hosts: tuple[str, ...], port: int, units: list[int], timeout_s: float, quiet: bool, write: Path | None
) -> tuple[list[dict[str, Any]], list[MapDevice]]:
    """Every unit of every host, one after the other; identified when a map is wanted."""
    from drivers.modbus.settings import TcpLinkSettings
    from gateway.cli.discovery import modbus_units
    from gateway.cli.identify import identify, known_templates

    templates = known_templates(write) if write else []
    rows: list[dict[str, Any]] = []
    maps: list[MapDevice] = []
    with steps(len(hosts) * len(units), "unit ids", quiet) as step:
        for text in hosts:
            host, at = endpoint(text, port)
            link = TcpLinkSettings(host=host, port=at, timeout=timeout_s)
            for unit in await modbus_units("modbus-tcp", link, units, step):
                row = {"at": f"{host}:{at}", **dataclasses.asdict(unit), "template": ""}
                if write:
                    found = await identify(host, at, link, unit.unit_id, templates)
                    row["template"] = found.template
                    maps.append(found.device)
                rows.append(row)
    return rows, maps


async def _modbus_link(driver: str, settings: Any, units: list[int], quiet: bool) -> list[dict[str, Any]]:
    from gateway.cli.discovery import modbus_units

    with steps(len(units), "unit ids", quiet) as step:
        found = await modbus_units(driver, settings, units, step)
    at = str(getattr(settings, "host", "")) or str(settings.port)
    return [{"at": at, **dataclasses.asdict(unit), "template": ""} for unit in found]


def _described(settings: Any, found: list[Any], link: str, quiet: bool) -> list[MapDevice]:
    """The objects of each device. Raises LinkError."""
    from bacpypes3.apdu import ErrorRejectAbortNack

    from drivers.bacnet.description import DeviceDescription
    from drivers.bacnet.stack import Stack
    from gateway.installer.mapping import bacnet_device

    describe = import_module("drivers.bacnet.describe").describe

    async def ask() -> list[MapDevice]:
        stack = await Stack.open(settings)
        try:
            maps = []
            with steps(len(found), "devices read", quiet) as step:
                for device in found:
                    try:
                        described = await describe(stack.app, device)
                    except ErrorRejectAbortNack as error:
                        click.echo(f"device {device.instance} does not tell its objects: {error}", err=True)
                        described = DeviceDescription(device, ())
                    maps.append(bacnet_device(described, link))
                    step()
            return maps
        finally:
            await stack.close()

    return asyncio.run(ask())


def _typed(address: str, port: int | None) -> Any:
    from pydantic import ValidationError

    from drivers.bacnet.settings import LinkSettings

    try:
        return LinkSettings.model_validate({"address": address} | ({"port": port} if port else {}))
    except ValidationError as error:
        raise click.UsageError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None


def _configured(config: Path, name: str | None, package: str) -> tuple[str, str, Any]:
    """Name, driver and settings of a configured link. Raises UsageError when it is not clear which."""
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
    return name, fitting[name].driver, fitting[name].settings
