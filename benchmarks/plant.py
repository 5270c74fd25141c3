"""The other side of a measurement, in processes of its own: `python -m benchmarks.plant KIND ...`.

Simulated equipment must not be what is measured. The Modbus units here answer from register images packed
beforehand, a few microseconds a request; BACnet devices and the cloud are the project's own simulators. Each
process prints one line of JSON when it listens, and ends on SIGTERM or when its stdin closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import uvloop

from benchmarks.harness import child, first_line

_REQUEST = struct.Struct(">HHHBBHH")
_IMAGES = 97
"""Different register images a unit walks through, one a second: values that never change store too well."""
_ROOM = 125


class _Meter(asyncio.Protocol):
    """A unit that holds `_ROOM` registers, and answers reads of them and nothing else."""

    def __init__(self, images: Sequence[bytes]) -> None:
        self._images = images
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._received + data
        answers = []
        whole = len(data) - len(data) % _REQUEST.size
        image = self._images[int(time.time()) % len(self._images)]
        for transaction, _, _, unit, function, address, count in _REQUEST.iter_unpack(data[:whole]):
            body = image[2 * address : 2 * (address + count)]
            answers.append(struct.pack(">HHHBBB", transaction, 0, 3 + len(body), unit, function, len(body)))
            answers.append(body)
        self._received = data[whole:]
        if self._transport is not None:
            self._transport.write(b"".join(answers))


def images(seed: int) -> list[bytes]:
    """Register images like a plant's: slow random walks about 21.5 (raw 215), now and then a jump."""
    random = np.random.default_rng(seed)
    walk = 215 + random.integers(-40, 40, _ROOM) + np.cumsum(random.integers(-1, 2, (_IMAGES, _ROOM)), axis=0)
    return [row.astype(">u2").tobytes() for row in walk]


async def _modbus(units: int) -> list[int]:
    """Listening ports, one for each unit."""
    loop = asyncio.get_running_loop()
    pool = [images(seed) for seed in range(min(units, 16))]
    ports = []
    for unit in range(units):
        server = await loop.create_server(partial(_Meter, pool[unit % len(pool)]), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        _KEPT.append(server)
    return ports


async def _bacnet(devices: int, objects: int) -> list[int]:
    """UDP ports of devices 2001, 2002, ..., each with analog inputs 1..objects."""
    from drivers.bacnet.settings import PointSettings
    from simulators.bacnet import BacnetDevice
    from simulators.base import ServedPoint

    def wave(number: int) -> Callable[[int], float]:
        return lambda at_ns: 20 + number % 7 + math.sin(at_ns / 60e9 + number)

    ports = free_udp_ports(devices)
    for number, port in enumerate(ports):
        points = [
            ServedPoint(f"ai{i}", PointSettings(object=f"analog-input,{i}"), wave(i), "degC")
            for i in range(1, objects + 1)
        ]
        device = BacnetDevice("127.0.0.1/8", port, 2001 + number, f"device-{number}", points, time.time_ns)
        await device.start()
        _KEPT.append(device)
    return ports


async def _cloud(folder: Path) -> str:
    """The URL of a receiver that keeps what it gets in `folder`."""
    from simulators.cloud import Receiver

    receiver = Receiver("127.0.0.1", 0, folder)
    await receiver.start()
    _KEPT.append(receiver)
    return receiver.url


_KEPT: list[object] = []
"""What listens, for as long as this process lives."""


def free_udp_ports(count: int) -> list[int]:
    """UDP ports on loopback that nobody uses now, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def modbus_units(count: int, processes: int = 2) -> Iterator[list[int]]:
    """TCP ports of `count` Modbus units, spread over some processes."""
    with ExitStack() as stack:
        shares = [len(part) for part in np.array_split(np.arange(count), processes) if len(part)]
        running = [stack.enter_context(child("benchmarks.plant", "modbus", str(share))) for share in shares]
        yield [port for process in running for port in json.loads(first_line(process))]


@contextmanager
def bacnet_devices(count: int, objects: int) -> Iterator[list[int]]:
    """UDP ports of `count` BACnet devices in one process."""
    with child("benchmarks.plant", "bacnet", str(count), str(objects)) as process:
        yield json.loads(first_line(process))


@contextmanager
def cloud(folder: Path) -> Iterator[str]:
    """The URL of a receiver in its own process."""
    with child("benchmarks.plant", "cloud", str(folder)) as process:
        yield json.loads(first_line(process))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plant")
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("modbus").add_argument("units", type=int)
    bacnet = kinds.add_parser("bacnet")
    bacnet.add_argument("devices", type=int)
    bacnet.add_argument("objects", type=int)
    kinds.add_parser("cloud").add_argument("folder", type=Path)
    given = parser.parse_args()
    starts: dict[str, Callable[[], Awaitable[object]]] = {
        "modbus": lambda: _modbus(given.units),
        "bacnet": lambda: _bacnet(given.devices, given.objects),
        "cloud": lambda: _cloud(given.folder),
    }
    uvloop.run(_serve(starts[given.kind]))
    return 0


async def _serve(start: Callable[[], Awaitable[object]]) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    listening = await start()
    threading.Thread(target=_watch_stdin, args=(loop, end), daemon=True).start()
    print(json.dumps(listening), flush=True)
    await end.wait()
    os._exit(0)  # nothing here is worth an orderly end, and 200 servers take their time over one


def _watch_stdin(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(end.set)


if __name__ == "__main__":
    sys.exit(main())
