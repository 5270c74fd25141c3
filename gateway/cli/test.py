"""`heyzack test`: every point once, with unit, quality, latency and raw bytes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option, duration_type
from gateway.cli.tables import number, table

if TYPE_CHECKING:
    from gateway.cli.probing import Reading


@click.command("test")
@config_option
@click.option("--device", "devices", multiple=True, help="Only this device; may be given several times.")
@click.option(
    "--wait", "wait_s", type=duration_type, help="The longest wait for devices that send by themselves (30s)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list of readings.")
def command(config: Path, devices: tuple[str, ...], wait_s: float | None, as_json: bool) -> None:
    """Ask every point once, without storing or sending anything.

    Exit code 0: every point is good. 1: one is bad, or the configuration has errors.
    """
    installation = load_or_exit(config)
    for name in devices:
        if name not in installation.devices:
            from gateway.config.errors import suggest

            hint = suggest(name, installation.devices, "devices are")
            raise click.UsageError(f"device '{name}' is unknown; {hint}")
    from gateway.cli.probing import read_points

    points = [
        point
        for device in installation.devices.values()
        if not devices or device.name in devices
        for point in device.points
    ]
    readings = read_points(installation, points, wait_s)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(reading) for reading in readings], indent=2))
    else:
        click.echo(readings_table(readings))
        bad = sum(not reading.good for reading in readings)
        click.echo(f"{len(readings) - bad} of {len(readings)} points are good")
    raise SystemExit(0 if all(reading.good for reading in readings) else 1)


def readings_table(readings: list[Reading]) -> str:
    """Readings for people."""
    headers = ("device", "point", "value", "unit", "quality", "ms", "raw", "fault")
    rows = [
        (
            reading.device,
            reading.point,
            number(reading.value),
            reading.unit,
            reading.quality,
            number(reading.latency_ms),
            _short(reading.raw),
            f"{reading.fault} {reading.detail}".strip(),
        )
        for reading in readings
    ]
    return table(headers, rows, right=("value", "ms"))


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
