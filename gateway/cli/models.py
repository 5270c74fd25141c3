"""`heyzack simulate device`: any device template as a device on the wire."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from simulators.base import ServedPoint


@click.command("device")
@click.argument("templates", nargs=-1, required=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=1502, show_default=True, help="0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--unit-id", type=click.IntRange(0, 255), default=1, show_default=True, help="Of the first.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed shows other values.")
@click.option(
    "--speed", type=click.FloatRange(min=0.001), default=1.0, show_default=True, help="Times real time."
)
def device_command(
    templates: Sequence[str], port: int, host: str, unit_id: int, seed: int, speed: float
) -> None:
    """Serve devices by their template until Ctrl-C: `heyzack simulate device schneider/iem3155 abb/b23@7`.

    Several share the port, each with its unit id: its own after '@', else one after the other. Exit code 1:
    the port is taken; 2: there is no such template.
    """
    from drivers.templates import TemplateError
    from simulators.models import ModelError, find_model, model_points, sped_up, units_of

    try:
        names = units_of(templates, unit_id)
        units = {unit: model_points(find_model(name), seed + unit) for unit, name in names.items()}
    except (ModelError, TemplateError) as error:
        raise click.UsageError(str(error)) from None
    try:
        asyncio.run(_serve(host, port, units, names, sped_up(time.time_ns, speed)))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error}; name another --port") from None


async def _serve(
    host: str, port: int, units: dict[int, list[ServedPoint]], names: dict[int, str], now: Callable[[], int]
) -> None:
    from simulators.modbus import ModbusServer

    server = ModbusServer(host, port, units, now)
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        click.echo(f"ready {json.dumps({'host': host, 'port': server.port, 'units': names})}")
        await stop.wait()
    finally:
        await server.stop()
