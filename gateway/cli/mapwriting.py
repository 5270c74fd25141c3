"""`--write FOLDER` and `--force` of verbs that make device maps, and what they say when done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.installer.devicemap import MapDevice

F = TypeVar("F", bound=Callable[..., Any])


def map_options(function: F) -> F:
    """`--write FOLDER` and `--force`."""
    force = click.option("--force", is_flag=True, help="With --write: replace the file that is there.")
    write = click.option(
        "--write",
        type=click.Path(file_okay=False, path_type=Path),
        help="Write devices/*.yaml in this configuration folder (made if need be).",
    )
    return write(force(function))


def save(
    folder: Path,
    file: str,
    devices: Sequence[MapDevice],
    *,
    force: bool,
    link: tuple[str, Mapping[str, Any]] | None = None,
    source: str = "a scan",
) -> None:
    """Write a device file, and what it needs in site.yaml. Raises ClickException rather than overwrite."""
    from gateway.installer.folder import FileExists, ensure_link, ensure_site, write_devices

    heading = [f"Made by {source} on {datetime.now().astimezone():%Y-%m-%d %H:%M}. Yours to change."]
    try:
        path = write_devices(folder, file, devices, heading, force=force)
    except FileExists as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"wrote {path}", err=True)
    if ensure_site(folder, local_zone()):
        click.echo(f"wrote {folder / 'site.yaml'}; change what is marked (*)", err=True)
    if link is not None and ensure_link(folder, *link):
        click.echo(f"added link '{link[0]}' to {folder / 'site.yaml'}", err=True)


def where(folder: Path | None, devices: Sequence[MapDevice]) -> None:
    """What was written and what comes next."""
    if folder is None:
        return
    points = sum(len(device.points) for device in devices)
    candidates = sum(len(device.candidates) for device in devices)
    templated = sum("template" in device.keys for device in devices)
    click.echo(
        f"{len(devices)} devices: {templated} by template, {points} points of their own, "
        f"{candidates} candidates to confirm"
    )
    click.echo(f"next: heyzack lint --config {folder}; heyzack validate {folder}")


def local_zone() -> str:
    """This machine's time zone by its IANA name; UTC where it does not say."""
    zone = Path("/etc/timezone")
    link = Path("/etc/localtime")
    if zone.is_file() and (name := zone.read_text(encoding="utf-8").strip()):
        return name
    target = str(link.resolve()) if link.exists() else ""
    return target.partition("/zoneinfo/")[2] or "UTC"
