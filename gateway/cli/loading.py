"""Reading the configuration for a verb: its problems go to stderr, and the verb ends with 1 (or 2)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.site import Installation


def load_or_exit(folder: Path) -> Installation:
    """The installation of a folder. Exits with 1 when it has errors, 2 when there is none."""
    from gateway.config import ConfigError, UnreadableError, load

    try:
        return load(folder)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        raise SystemExit(2 if isinstance(error, UnreadableError) else 1) from None
