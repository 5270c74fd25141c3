"""`heyzack points`: the configured points, or what the running gateway has of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import click

from gateway.cli.client import base_url, call, url_option
from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option
from gateway.cli.tables import moment, number, table
from gateway.site import Installation


@click.command("points")
@config_option
@url_option
@click.option("--device", help="Only this device.")
@click.option("--live", is_flag=True, help="Ask the running gateway for the newest values.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the device map as a table for a spreadsheet; `heyzack import map` reads it back.",
)
@click.option("--decimal-comma", is_flag=True, help="With --csv: 0,1 instead of 0.1.")
@click.option("--force", is_flag=True, help="With --csv: replace the file that is there.")
def command(
    config: Path,
    url: str | None,
    device: str | None,
    live: bool,
    as_json: bool,
    csv_file: Path | None,
    decimal_comma: bool,
    force: bool,
) -> None:
    """List the points of the configuration with unit, quantity and cadence; with --live their values."""
    if csv_file is not None:
        _write_csv(config, csv_file, device, decimal_comma, force)
        return
    if live:
        rows = _live(base_url(url, config), device)
        click.echo(json.dumps(rows, indent=2) if as_json else _live_table(rows))
        return
    installation = load_or_exit(config)
    if device is not None and device not in installation.devices:
        from gateway.config.errors import suggest

        hint = suggest(device, installation.devices, "devices are")
        raise click.UsageError(f"device '{device}' is unknown; {hint}")
    rows = configured(installation, device)
    click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))


def _write_csv(config: Path, file: Path, device: str | None, decimal_comma: bool, force: bool) -> None:
    from gateway.installer.csvmap import to_csv
    from gateway.installer.folder import FileExists, read_map, write_text

    load_or_exit(config)
    devices = [one for one in read_map(config) if device in (None, one.name)]
    try:
        write_text(file, "\ufeff" + to_csv(devices, decimal_comma=decimal_comma), force=force)
    except FileExists as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"wrote {file}: {len(devices)} devices, {sum(len(d.points) for d in devices)} points")


def configured(installation: Installation, device: str | None = None) -> list[dict[str, Any]]:
    """Every point as configured, roles last under the device `_site`."""
    rows = [
        {
            "device": point.device,
            "point": point.name,
            "unit": point.unit,
            "quantity": point.quantity,
            "kind": str(point.kind),
            "every_s": point.every_s,
            "source": point.source.model_dump(mode="json", exclude_defaults=True, by_alias=True),
            "source_unit": point.source_unit,
        }
        for spec in installation.devices.values()
        if device in (None, spec.name)
        for point in spec.points
    ]
    if device is None:
        rows += [
            {
                "device": "_site",
                "point": role.name,
                "unit": role.unit,
                "quantity": role.quantity,
                "kind": str(role.kind),
                "every_s": None,
                "source": {"expression": role.expression.text},
                "source_unit": role.unit,
            }
            for role in installation.roles.values()
        ]
    return rows


def _table(rows: list[dict[str, Any]]) -> str:
    headers = ("device", "point", "unit", "quantity", "kind", "every", "source")
    return table(
        headers,
        [
            (
                row["device"],
                row["point"],
                row["unit"],
                row["quantity"],
                row["kind"],
                f"{row['every_s']:g} s" if row["every_s"] else "-",
                " ".join(f"{key}={value}" for key, value in row["source"].items()),
            )
            for row in rows
        ],
        right=("every",),
    )


def _live(base: str, device: str | None) -> list[dict[str, Any]]:
    code, body = call(base, "/api/v1/points" + (f"?{urlencode({'device': device})}" if device else ""))
    if code != 200:
        raise click.ClickException(f"the gateway answered with HTTP status {code}: {body.get('detail', '')}")
    points: list[dict[str, Any]] = body["points"]
    return points


def _live_table(rows: list[dict[str, Any]]) -> str:
    from drivers.base import Quality

    headers = ("device", "point", "value", "unit", "quality", "time (UTC)", "fault")
    return table(
        headers,
        [
            (
                row["device"],
                row["point"],
                number(row["value"]),
                row["unit"],
                Quality(row["quality"]).name.lower(),
                moment(row["time"], ZoneInfo("UTC")),
                f"{row['fault']} {row['fault_detail']}".strip(),
            )
            for row in rows
        ],
        right=("value",),
    )
