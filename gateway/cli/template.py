"""`heyzack template`: the device templates there are, and whether they can be used."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.cli.options import config_option
from gateway.cli.tables import table


@click.group("template")
def command() -> None:
    """List or check device templates."""


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
    """Check template FILES or folders (default: those that are shipped). Exit code 1 when one is wrong."""
    from drivers.templates import TemplateError, find_templates, load_template
    from gateway.config.shelf import shipped_folder

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
        else:
            click.echo(f"{path}: fine, {len(template.points)} points")
    if not paths:
        raise click.UsageError("there is no template to check; templates are MAKER/MODEL.yaml")
    raise SystemExit(1 if wrong else 0)
