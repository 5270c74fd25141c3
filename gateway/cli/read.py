"""`heyzack read`: one point, with what the device sent for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option, duration_type
from gateway.cli.tables import number


@click.command("read")
@click.argument("points", nargs=-1, required=True, metavar="DEVICE/POINT...")
@config_option
@click.option(
    "--wait", "wait_s", type=duration_type, help="The longest wait for a device that sends by itself."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list of readings.")
def command(points: tuple[str, ...], config: Path, wait_s: float | None, as_json: bool) -> None:
    """Read points directly from their devices. Exit code 1 when one of them is bad."""
    installation = load_or_exit(config)
    from gateway.cli.probing import find_points, read_points

    known = find_points(installation)
    for name in points:
        if name not in known:
            from gateway.config.errors import suggest

            hint = suggest(name, known, "points are")
            raise click.UsageError(f"point '{name}' is unknown; {hint}")
    readings = read_points(installation, [known[name] for name in dict.fromkeys(points)], wait_s)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(reading) for reading in readings], indent=2))
    else:
        for reading in readings:
            said = (
                f"device says {number(reading.device_value)} {reading.source_unit}; raw {reading.raw or '-'}"
            )
            why = f"; {reading.fault} {reading.detail}".rstrip() if reading.fault else ""
            click.echo(
                f"{reading.device}/{reading.point} = {number(reading.value)} {reading.unit} "
                f"({reading.quality}{why}; {said})"
            )
    raise SystemExit(0 if all(reading.good for reading in readings) else 1)
