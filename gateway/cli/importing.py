"""`heyzack import`: tables of points as device maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gateway.cli.mapwriting import save

if TYPE_CHECKING:
    from gateway.installer.csvmap import TableError

_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_to = click.option(
    "--config", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
    help="The configuration folder to write devices/*.yaml in.",
)  # fmt: skip
_name = click.option("--name", help="The device file's name; by default the table's.")
_force = click.option("--force", is_flag=True, help="Replace the file that is there.")


@click.group("import")
def command() -> None:
    """Make device maps of tables. Nothing is overwritten without --force."""


@command.command("map")
@_file
@_to
@_name
@_force
def import_map(file: Path, folder: Path, name: str | None, force: bool) -> None:
    """A device map as CSV, as `heyzack points --csv` writes it.

    ';', ',' or tabs, decimal points or commas, UTF-8 or Windows. Exit code 1 when the table has mistakes.
    """
    from gateway.installer.csvmap import TableError, from_csv

    try:
        devices = from_csv(file.read_bytes(), str(file))
    except TableError as error:
        _refuse(error)
    save(folder, name or file.stem, devices, force=force, source=file.name)
    _done(folder, len(devices), sum(len(device.points) for device in devices), 0)


@command.command("ede")
@_file
@_to
@_name
@_force
@click.option("--link", default="bms", show_default=True, help="The BACnet link of the devices.")
@click.option("--address", help="Add that link: this machine's address with its mask, such as 10.0.0.5/24.")
def import_ede(
    file: Path, folder: Path, name: str | None, force: bool, link: str, address: str | None
) -> None:
    """A BACnet point list in EDE layout 2. What has no unit of ours becomes a commented candidate."""
    from gateway.installer.csvmap import TableError
    from gateway.installer.ede import from_ede
    from gateway.installer.mapping import bacnet_device

    try:
        described = from_ede(file.read_bytes(), str(file))
    except TableError as error:
        _refuse(error)
    devices = [bacnet_device(one, link) for one in described]
    keys: dict[str, Any] = {"driver": "bacnet", "address": address}
    save(folder, name or file.stem, devices, force=force, link=(link, keys) if address else None,
         source=file.name)  # fmt: skip
    _done(folder, len(devices), sum(len(d.points) for d in devices), sum(len(d.candidates) for d in devices))


def _refuse(error: TableError) -> NoReturn:
    for problem in error.problems:
        click.echo(str(problem), err=True)
    raise SystemExit(1)


def _done(folder: Path, devices: int, points: int, candidates: int) -> None:
    more = f", {candidates} candidates to confirm" if candidates else ""
    click.echo(f"{devices} devices, {points} points{more}; next: heyzack validate {folder}")
