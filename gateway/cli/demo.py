"""`heyzack demo`: a simulated building, a broker, a receiver and the gateway, with nothing to install."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.cli.options import duration_type


@click.command("demo")
@click.option("--for", "for_s", type=duration_type, default=None, help="Run this long (60s, 5min), then end.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on stdout.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("state/demo"),
    show_default=True,
    help="Where the demo keeps its store; a second start goes on from there.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="The page's port (8080).")
def command(for_s: float | None, as_json: bool, state: Path, port: int | None) -> None:
    """Run the whole gateway against a simulated building on this machine."""
    from gateway.demo.processes import ChildError
    from gateway.demo.run import DemoOptions, run_demo

    try:
        figures = run_demo(DemoOptions(state, port, for_s))
    except ChildError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(figures, indent=2))
