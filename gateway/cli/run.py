"""`heyzack run`: the gateway, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.options import config_option

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.site import Installation

log = logging.getLogger(__name__)


@click.command("run")
@config_option
@click.option(
    "--log-level", default="INFO", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), show_default=True
)
@click.option(
    "--end-with-stdin", is_flag=True, hidden=True, help="Stop when stdin closes: for a parent process."
)
def command(config: Path, log_level: str, end_with_stdin: bool) -> None:
    """Run the gateway with the configuration in a folder."""
    logging.basicConfig(
        level=log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr
    )
    for chatty in ("apscheduler", "asyncio", "urllib3", "pymodbus"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    import uvloop

    from gateway.config import ConfigError, load

    try:
        installation = load(config)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        raise SystemExit(1) from None

    uvloop.run(_run(installation, end_with_stdin=end_with_stdin))


async def _run(installation: Installation, *, end_with_stdin: bool) -> None:
    """The gateway's life. Raises ClickException when it cannot begin; what had begun is ended in order."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    gateway = _made(installation)
    reloads: set[asyncio.Task[None]] = set()  # the loop alone would let a running task be collected

    def reload() -> None:
        task = loop.create_task(_reload(gateway))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    web = installation.web
    try:
        await gateway.start()
    except OSError as error:
        await gateway.stop()
        raise click.ClickException(f"cannot start with the page on {web.host}:{web.port}: {error}") from None
    _settle_memory()
    click.echo(f"ready http://{web.host}:{web.port}")
    sys.stdout.flush()
    watch = loop.create_task(_end_of_stdin(stop)) if end_with_stdin else None
    await stop.wait()
    if watch is not None:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    await gateway.stop()


def _settle_memory() -> None:
    """Take what lives as long as the configuration out of the garbage collector's rounds.

    A full round looks at every point's settings and plan: a tenth of a second at 20,000 points, in which
    nothing is polled. Here it does so once; after a reload again, for what was replaced to be freed.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _made(installation: Installation) -> Gateway:
    """A gateway on its store. Raises ClickException when the store cannot be used."""
    from gateway.app import Gateway
    from gateway.store.errors import StoreError

    try:
        return Gateway(installation)
    except (StoreError, OSError, sqlite3.Error) as error:
        path = installation.store.path
        raise click.ClickException(f"the store in {path} cannot be used: {error}") from None


async def _reload(gateway: Gateway) -> None:
    try:
        report = await gateway.reload()
    except Exception:
        log.exception("the reload failed")
        return
    for problem in report.errors:
        log.error("not reloaded: %s", problem)
    if report.applied:
        _settle_memory()
        named = {"added": report.added, "removed": report.removed, "changed": report.changed}
        log.info(
            "reloaded: %s", "; ".join(f"{k} {', '.join(v)}" for k, v in named.items() if v) or "no change"
        )


async def _end_of_stdin(stop: asyncio.Event) -> None:
    """Set `stop` when stdin closes, which it does however the parent ended."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with contextlib.closing(transport):
        while await reader.read(4096):
            pass
        stop.set()
