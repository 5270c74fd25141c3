"""`heyzack lint`: watch every point for a while and say which are suspicious."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option, duration_type
from gateway.cli.progress import steps

if TYPE_CHECKING:
    from gateway.cli.probing import Reading
    from gateway.installer.lint import Watched
    from gateway.site import PointSpec


@click.command("lint")
@config_option
@click.option(
    "--for", "for_s", type=duration_type, default="20s", show_default=True, help="How long to watch."
)
@click.option(
    "--every", "every_s", type=duration_type, default="2s", show_default=True, help="Time between looks."
)
@click.option("--device", "devices", multiple=True, help="Only this device; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: points watched, findings.")
def command(config: Path, for_s: float, every_s: float, devices: tuple[str, ...], as_json: bool) -> None:
    """Watch the live points and flag what looks wrong: order, scale, limits, counters, frozen, twins.

    Nothing is stored or sent. Exit code 0: nothing suspicious. 1: findings, or errors in the configuration.
    """
    from gateway.cli.probing import watch_points
    from gateway.installer.lint import lint

    installation = load_or_exit(config)
    if unknown := [name for name in devices if name not in installation.devices]:
        from gateway.config.errors import suggest

        hint = suggest(unknown[0], installation.devices, "devices are")
        raise click.UsageError(f"device '{unknown[0]}' is unknown; {hint}")
    points = [
        point
        for device in installation.devices.values()
        if not devices or device.name in devices
        for point in device.points
    ]
    rounds = max(2, round(for_s / every_s) + 1)
    with steps(None, f"watching {len(points)} points for {for_s:g} s", as_json):
        history = watch_points(installation, points, rounds, every_s)
    findings = lint([watched(point, looks) for point, looks in zip(points, history, strict=True)])
    if as_json:
        shown = {"points": len(points), "findings": [dataclasses.asdict(f) for f in findings]}
        click.echo(json.dumps(shown, indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
        doubted = len({(finding.device, finding.point) for finding in findings})
        click.echo(f"{len(points)} points watched, {doubted} suspicious")
    raise SystemExit(1 if findings else 0)


def watched(point: PointSpec, looks: list[Reading]) -> Watched:
    """What was seen of a point, before its limits cut anything off."""
    from gateway.installer.lint import Watched

    values = tuple(
        None if look.device_value is None else look.device_value * point.factor + point.offset
        for look in looks
    )
    last = looks[-1]
    return Watched(point, values, last.raw, f"{last.fault} {last.detail}".strip())
