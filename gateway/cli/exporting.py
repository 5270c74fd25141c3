"""`heyzack export`: the configuration in other vocabularies."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option


@click.group("export")
def command() -> None:
    """Write what is configured in another form."""


@command.command("brick")
@config_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A .ttl file; else stdout.")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
def brick(config: Path, out: Path | None, force: bool) -> None:
    """The building, its devices, zones and points in Brick, with Haystack markers, as Turtle."""
    from gateway.installer.brick import to_turtle
    from gateway.installer.folder import FileExists, write_text

    text = to_turtle(load_or_exit(config))
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        write_text(out, text, force=force)
    except FileExists as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"wrote {out}")
