"""`heyzack run`: the gateway, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

import click

from gateway.cli.options import config_option


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

    async def main() -> None:
        from gateway.app import Gateway

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        gateway = Gateway(installation)

        def reload() -> None:
            task = loop.create_task(gateway.reload())
            task.add_done_callback(
                lambda done: logging.getLogger("gateway").info("reload: %s", done.result())
            )

        loop.add_signal_handler(signal.SIGHUP, reload)
        await gateway.start()
        web = installation.web
        click.echo(f"ready http://{web.host}:{web.port}")
        sys.stdout.flush()
        watch = loop.create_task(_end_of_stdin(stop)) if end_with_stdin else None
        await stop.wait()
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        await gateway.stop()

    uvloop.run(main())


async def _end_of_stdin(stop: asyncio.Event) -> None:
    """Set `stop` when stdin closes, which it does however the parent ended."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with contextlib.closing(transport):
        while await reader.read(4096):
            pass
        stop.set()
