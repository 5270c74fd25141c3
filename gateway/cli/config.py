"""`heyzack config`: show, describe, compare and reload configurations."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import base_url, call, url_option
from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option


@click.group("config")
def command() -> None:
    """Show, compare or reload a configuration."""


@command.command("show")
@config_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
def show(config: Path, as_json: bool) -> None:
    """Print the configuration as it is read: files merged, ${...} replaced, secrets masked."""
    from gateway.config.errors import UnreadableError
    from gateway.config.show import resolved

    try:
        shown = resolved(config)
    except UnreadableError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from None
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False) if as_json else _yaml(shown), nl=as_json)


@command.command("schema")
@click.option("--devices", is_flag=True, help="Of a file in devices/ instead of site.yaml.")
def schema(devices: bool) -> None:
    """Print the JSON Schema for editors.

    With the YAML extension of an editor, begin the file with a line such as
    `# yaml-language-server: $schema=site.schema.json`.
    """
    from gateway.config.jsonschema import devices_schema, site_schema

    click.echo(json.dumps(devices_schema() if devices else site_schema(), indent=2))


@command.command("diff")
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def diff_folders(old: Path, new: Path, as_json: bool) -> None:
    """What a reload from OLD to NEW would change. Exit code 0: nothing, 1: something."""
    from gateway.config import diff

    changes = diff(load_or_exit(old), load_or_exit(new))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(changes), indent=2))
    else:
        for section, delta in changes.named().items():
            for sign, names in (("+", delta.added), ("-", delta.removed), ("~", delta.changed)):
                for name in names:
                    click.echo(f"{sign} {section}: {name}")
        for section in changes.rest:
            click.echo(f"~ {section}")
        if not changes:
            click.echo("no difference")
    raise SystemExit(1 if changes else 0)


@command.command("reload")
@config_option
@url_option
@click.option("--json", "as_json", is_flag=True, help="The gateway's own report.")
def reload(config: Path, url: str | None, as_json: bool) -> None:
    """Make the running gateway read its configuration again and apply what changed.

    Exit code 0: applied, or nothing to do. 1: refused, the running configuration stays; or nobody answers.
    """
    status, report = call(base_url(url, config), "/api/v1/config/reload", "POST")
    if status not in (200, 409):
        raise click.ClickException(
            f"the gateway answered with HTTP status {status}: {report.get('detail', '')}"
        )
    click.echo(json.dumps(report, indent=2) if as_json else _report(report))
    raise SystemExit(1 if report["errors"] else 0)


def _report(report: dict[str, Any]) -> str:
    if report["errors"]:
        return "\n".join(["refused, the running configuration stays:", *report["errors"]])
    lines = [f"{sign} {name}" for sign, key in (("+", "added"), ("-", "removed"), ("~", "changed"))
             for name in report[key]]  # fmt: skip
    return "\n".join(["applied:", *lines]) if lines else "applied: no difference"


def _yaml(shown: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 110
    text = io.StringIO()
    yaml.dump(shown, text)
    return text.getvalue()
