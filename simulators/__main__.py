"""`python -m simulators`: the demo's whole outside world in one process.

    python -m simulators --seed 7 --retrofit 2025-10-01 --ports '{"main-meter": 15021}' --state DIR

Prints one line, `ready {json}`, when everything listens. Ends on SIGTERM, Ctrl-C, or when its stdin closes:
so it never outlives the process that started it, not even one that was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import uvloop

from simulators.building import Building
from simulators.demo import resolve_ports, serve
from simulators.faults import FaultError
from simulators.mqtt import MissingBroker
from simulators.schedule import Schedule, follow, load_schedule

SITE_ZONE = "Europe/Paris"


def main() -> int:
    """Parse, serve, end. Exit code 1 when something cannot listen."""
    options = _parser().parse_args()
    midnight = datetime.combine(options.retrofit, datetime.min.time(), ZoneInfo(SITE_ZONE))
    building = Building(options.seed, int(midnight.timestamp()) * 1_000_000_000, SITE_ZONE)
    try:
        schedule = load_schedule(options.faults) if options.faults else None
        uvloop.run(_serve(building, options.ports, options.state, schedule))
    except (OSError, MissingBroker, FaultError) as error:
        print(f"simulators: {error}", file=sys.stderr)  # noqa: T201 - this is the command's answer
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulators", description="The demo's simulated building."
    )
    parser.add_argument("--seed", type=int, default=7, help="another seed is another building")
    parser.add_argument(
        "--retrofit", type=date.fromisoformat, required=True, help="first day after the works"
    )
    parser.add_argument("--ports", type=json.loads, default={}, help="JSON: device, mqtt or cloud -> port")
    parser.add_argument("--faults", type=Path, help="YAML: what goes wrong when (see README.md)")
    parser.add_argument("--state", type=Path, required=True, help="folder of what the receiver receives")
    return parser


async def _serve(building: Building, ports: dict[str, int], folder: Path, schedule: Schedule | None) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    async with serve(building, ports, folder, time.time_ns, building.seed) as outside:
        following = asyncio.create_task(follow(schedule, outside.board)) if schedule else None
        threading.Thread(target=_watch_stdin, args=(loop, end), daemon=True, name="stdin").start()
        print(f"ready {json.dumps(resolve_ports(ports))}", flush=True)  # noqa: T201 - the parent waits for it
        await end.wait()
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def _watch_stdin(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    """Set `end` when stdin closes. os.read, because a buffered read would hold a lock that exit needs."""
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(end.set)


if __name__ == "__main__":
    sys.exit(main())
