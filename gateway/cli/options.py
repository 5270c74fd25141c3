"""Options that many verbs share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gateway.config.literals import parse_duration

config_option = click.option(
    "--config",
    "config",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=lambda: os.environ.get("HEYZACK_CONFIG", "."),
    show_default="$HEYZACK_CONFIG or the current folder",
    help="The configuration folder (with site.yaml).",
)


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


duration_type = _Duration()
