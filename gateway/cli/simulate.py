"""`heyzack simulate`: equipment that is not there, speaking the real protocols."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from gateway.cli.faults import clear_command, fault_command, faults_command
from gateway.cli.loading import load_or_exit
from gateway.cli.models import device_command
from gateway.cli.tables import table

if TYPE_CHECKING:
    from drivers.base import Settings
    from gateway.site import DeviceSpec, Installation
    from simulators.replay import Recording


@click.group("simulate", invoke_without_command=True)
@click.option(
    "--list", "as_list", is_flag=True, help="Print the demo's wire map: devices, addresses, registers."
)
@click.option("--json", "as_json", is_flag=True, help="With --list: as one JSON list of devices.")
@click.pass_context
def command(context: click.Context, as_list: bool, as_json: bool) -> None:
    """Serve simulated equipment, or list what the demo serves."""
    if as_list:
        rows = wire_map(load_or_exit(demo_folder()))
        click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))
        context.exit(0)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _verb in (device_command, fault_command, faults_command, clear_command):
    command.add_command(_verb)


@command.command("modbus")
@click.option(
    "--replay",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="A recorded load: CSV with time and kW (or kWh) columns.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=15020, show_default=True, help="0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--unit-id", type=click.IntRange(0, 255), default=1, show_default=True)
@click.option("--timezone", default="UTC", show_default=True, help="Of times without an offset.")
@click.option("--unit", type=click.Choice(["kW", "kWh"]), help="Of the values, when the header does not say.")
@click.option(
    "--speed", type=click.FloatRange(min=0.001), default=1.0, show_default=True, help="Recorded s per s."
)
@click.option("--recorded-time", is_flag=True, help="Play at the recorded dates instead of starting now.")
def modbus(
    replay: Path,
    port: int,
    host: str,
    unit_id: int,
    timezone: str,
    unit: str | None,
    speed: float,
    recorded_time: bool,
) -> None:
    """Serve a recorded load as a Modbus TCP meter (template heyzack/replay) until Ctrl-C.

    Registers: energy_import [kWh] float64 at 0, power [kW] float64 at 4. It does not answer where the record
    has gaps, nor after its end. Exit code 1: the port is taken; 2: the file is no load curve.
    """
    from simulators.replay import RecordingError, load_csv

    try:
        recording = load_csv(replay, ZoneInfo(timezone), unit)  # type: ignore[arg-type]
    except ZoneInfoNotFoundError:
        raise click.UsageError(
            f"time zone '{timezone}' is unknown; write an IANA name such as Europe/Paris"
        ) from None
    except RecordingError as error:
        raise click.UsageError(str(error)) from None
    now = time.time_ns if recorded_time else playback(recording.start_ns, time.time_ns(), speed)
    try:
        asyncio.run(_serve(recording, host, port, unit_id, now))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror}; name another --port"
        ) from None


def playback(start_ns: int, began_ns: int, speed: float) -> Callable[[], int]:
    """A clock that shows `start_ns` when the machine's shows `began_ns`, and runs `speed` times as fast."""
    return lambda: start_ns + round((time.time_ns() - began_ns) * speed)


async def _serve(recording: Recording, host: str, port: int, unit_id: int, now: Callable[[], int]) -> None:
    from simulators.modbus import ModbusServer

    server = ModbusServer(host, port, {unit_id: recording.points()}, now)
    await server.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        ready = {"host": host, "port": server.port, "unit_id": unit_id, "steps": len(recording.power_kw)}
        click.echo(f"ready {json.dumps(ready)}")
        await stop.wait()
    finally:
        await server.stop()


def demo_folder() -> Path:
    """The demo's configuration inside the package."""
    return Path(str(files("configs"))) / "demo"


def wire_map(installation: Installation) -> list[dict[str, Any]]:
    """Every device of an installation as it is on the wire: endpoint, unit, and each point's address."""
    return [_wire_device(installation, device) for device in installation.devices.values()]


def _wire_device(installation: Installation, device: DeviceSpec) -> dict[str, Any]:
    host, port = _endpoint(installation.links[device.link].settings, device.settings)
    return {
        "device": device.name,
        "driver": device.driver,
        "host": host,
        "port": port,
        **device.settings.model_dump(mode="json", by_alias=True, exclude_none=True),
        "address": device.address,
        "template": device.template,
        "points": [
            {
                "point": point.name,
                "quantity": point.quantity,
                "unit": point.unit,
                "kind": str(point.kind),
                "source_unit": point.source_unit,
                "source": point.source.model_dump(mode="json", by_alias=True, exclude_none=True),
            }
            for point in device.points
        ],
    }


def _endpoint(link: Settings, device: Settings) -> tuple[str, int | None]:
    """Host and port to connect to: a BACnet device's own, else the link's."""
    own = str(getattr(device, "address", None) or "")
    host, _, port = own.rpartition(":") if ":" in own else (own, "", "")
    if own:
        return host, int(port) if port else getattr(link, "port", None)
    return str(getattr(link, "host", "")), getattr(link, "port", None)


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [
        (
            device["device"],
            device["driver"],
            device["address"],
            point["point"],
            point["source_unit"],
            " ".join(f"{key}={value}" for key, value in point["source"].items()),
        )
        for device in rows
        for point in device["points"]
    ]
    return table(("device", "driver", "address", "point", "unit", "source"), cells)
