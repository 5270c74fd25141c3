"""`heyzack template`: the device templates there are, and whether they can be used."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option
from gateway.cli.tables import table
from gateway.config.errors import suggest

if TYPE_CHECKING:
    from gateway.site import Installation


@click.group("template")
def command() -> None:
    """List, check or begin device templates."""


@command.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def list_templates(config: Path, as_json: bool) -> None:
    """List the templates that are shipped and those of the configuration's own folder."""
    from drivers.templates import TemplateError
    from gateway.config.shelf import TemplateShelf

    shelf = TemplateShelf(config)
    rows = []
    for name in shelf.names:
        try:
            template = shelf.get(name)
        except TemplateError as error:
            click.echo(f"{error}", err=True)
            continue
        if template is not None:
            rows.append(
                {
                    "template": name,
                    "manufacturer": template.manufacturer,
                    "model": template.model,
                    "driver": template.driver,
                    "verified": str(template.verified),
                    "points": sorted(template.points),
                    "file": str(template.path),
                }
            )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    headers = ("template", "manufacturer", "model", "verified on", "points")
    cells = [
        (
            str(r["template"]),
            str(r["manufacturer"]),
            str(r["model"]),
            str(r["verified"]),
            ", ".join(r["points"]),
        )
        for r in rows
    ]
    click.echo(table(headers, cells))


@command.command("check")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
def check_templates(files: tuple[Path, ...]) -> None:
    """Check template FILES or folders (default: those that are shipped), golden frames included.

    Exit code 1 when one is wrong.
    """
    from drivers.templates import TemplateError, find_templates, load_template
    from gateway.config.shelf import shipped_folder
    from gateway.installer.templating import wrong_frames

    paths = [
        path
        for given in files or (shipped_folder(),)
        for path in (sorted(find_templates(given).values()) if given.is_dir() else [given])
    ]
    wrong = 0
    for path in paths:
        try:
            template = load_template(path)
        except TemplateError as error:
            wrong += 1
            click.echo(str(error))
            continue
        faults = wrong_frames(template)
        wrong += bool(faults)
        for fault in faults:
            click.echo(f"{path}:1: {fault}")
        if not faults:
            click.echo(f"{path}: fine, {len(template.points)} points, every golden frame decodes")
    if not paths:
        raise click.UsageError("there is no template to check; templates are MAKER/MODEL.yaml")
    raise SystemExit(1 if wrong else 0)


@command.command("new")
@click.argument("name", metavar="MAKER/MODEL")
@config_option
@click.option("--device", "device_name", help="The configured device to begin from; it is read once.")
@click.option(
    "--csv",
    "table_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Or a table of points, as `heyzack points --csv` writes it, of one device that answers.",
)
@click.option("--source", default="", help="Where its registers come from (a manual and its edition).")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
def new_template(
    name: str, config: Path, device_name: str | None, table_file: Path | None, source: str, force: bool
) -> None:
    """Begin a template: registers from a device or table, golden frames from what the device says now.

    Written to templates/MAKER/MODEL.yaml of the configuration folder. Exit code 1 when nothing answered.
    """
    from drivers.registry import KINDS
    from gateway.cli.probing import read_points
    from gateway.installer.folder import FileExists, write_text
    from gateway.installer.templating import Frame, template_text

    maker, _, model = name.partition("/")
    if not maker or not model or "/" in model or (device_name is None) == (table_file is None):
        raise click.UsageError("write MAKER/MODEL, and one of --device and --csv")
    installation = load_or_exit(config) if table_file is None else _of_table(table_file)
    device = installation.devices.get(device_name or next(iter(installation.devices), ""))
    if device is None:
        hint = suggest(device_name or "", installation.devices, "devices are")
        raise click.UsageError(f"device '{device_name}' is unknown; {hint}")
    if KINDS[device.driver].package != "modbus":
        raise click.UsageError(f"device '{device.name}' is {device.driver}; templates are for Modbus")
    readings = read_points(installation, device.points)
    frames = {
        reading.point: Frame(reading.raw, reading.device_value)
        for reading in readings
        if reading.device_value is not None and reading.raw
    }
    if not frames:
        raise click.ClickException(f"device '{device.name}' gave no value; {readings[0].detail}")
    text = template_text(device, maker, model, frames, source or "read from a device; to be compared")
    path = config / "templates" / maker.lower() / f"{model.lower()}.yaml"
    try:
        write_text(path, text, force=force)
    except FileExists as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"wrote {path}: {len(frames)} of {len(device.points)} points; check it with the manual")


def _of_table(file: Path) -> Installation:
    """An installation with the devices of a table alone. Exits with 1 when it has mistakes."""
    from gateway.installer.csvmap import TableError, from_csv
    from gateway.installer.folder import ensure_site, write_devices

    try:
        devices = from_csv(file.read_bytes(), str(file))
    except TableError as error:
        raise click.ClickException(str(error)) from None
    with tempfile.TemporaryDirectory() as folder:
        ensure_site(Path(folder), "UTC")
        write_devices(Path(folder), "table", devices[:1], [], force=False)
        return load_or_exit(Path(folder))
