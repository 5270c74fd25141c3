"""The demo's wire, read back with the gateway's own drivers, at a moment that stands still."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from drivers import units
from drivers.base import Delivery, Device, Driver, Point, PollGroup, Quality, Settings
from drivers.registry import KINDS
from simulators.building import Building
from simulators.demo import DEMO_WIRE, WireDevice, resolve_ports, serve, wire_map
from simulators.mqtt import Broker

NOON = 1_790_841_600 * 10**9  # 2026-10-01T12:00Z, a working day
RETROFIT = 1_759_269_600 * 10**9


def free_ports() -> dict[str, int]:
    """A free port for every name of the wire, TCP and UDP, on loopback."""
    ports: dict[str, int] = {}
    bacnet = {device.name for device in DEMO_WIRE if device.protocol == "bacnet"}
    with _kept() as keep:
        for name in resolve_ports():
            kind = socket.SOCK_DGRAM if name in bacnet else socket.SOCK_STREAM
            probe = keep(socket.socket(socket.AF_INET, kind))
            probe.bind(("127.0.0.1", 0))
            ports[name] = probe.getsockname()[1]
    return ports


@contextmanager
def _kept() -> Iterator[Callable[[socket.socket], socket.socket]]:
    """Sockets that stay open together, so that no port is given twice."""
    opened: list[socket.socket] = []

    def keep(probe: socket.socket) -> socket.socket:
        opened.append(probe)
        return probe

    try:
        yield keep
    finally:
        for probe in opened:
            probe.close()


def as_device(wire: WireDevice, settings: Settings, building: Building) -> Device:
    known = {(d, p): (quantity, unit) for d, p, quantity, unit, _ in building.points()}
    points = tuple(
        Point(series, wire.name, point.name, point.settings, *known[wire.name, point.name], point.unit)
        for series, point in enumerate(wire.points())
    )
    return Device(wire.name, settings, (PollGroup(wire.name, 10.0, points),))


def canonical(device: Device, values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    points = device.points
    return {
        point.name: units.conversion(point.source_unit, point.unit)(float(value))
        for point, value in zip(points, values, strict=True)
    }


@asynccontextmanager
async def opened(kind: str, link: dict[str, Any], deliver: Any = None) -> AsyncIterator[Driver]:
    async def ignore(delivery: Delivery) -> None:
        if delivery.committed:
            delivery.committed()

    driver = KINDS[kind].create("link", KINDS[kind].link_settings.model_validate(link), lambda: NOON)
    await driver.open(deliver or ignore)
    try:
        yield driver
    finally:
        await driver.close()


async def read(
    wire: WireDevice, ports: dict[str, int], building: Building, bacnet_port: int
) -> dict[str, float]:
    """Every point of a device, read over the network, in canonical units."""
    port = ports.get(wire.name, ports["mqtt"])
    link: dict[str, Any] = {"host": "127.0.0.1", "port": port}
    settings: dict[str, Any] = {"unit_id": wire.number}
    if wire.protocol == "bacnet":
        link = {"address": "127.0.0.1/24", "port": bacnet_port}
        settings = {"device_instance": wire.number, "address": f"127.0.0.1:{port}"}
    elif wire.protocol == "mqtt":
        settings = {"topic": wire.topic}
    device = as_device(wire, KINDS[wire.protocol].device_settings.model_validate(settings), building)
    async with opened(wire.protocol, link) as driver:
        await driver.assign([device])
        result = await driver.poll(device.groups[0])
    assert result.fault is None, result.fault
    assert result.batch.quality.tolist() == [Quality.GOOD] * len(device.points)
    return canonical(device, result.batch.value)


@asynccontextmanager
async def demo(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Building, dict[str, int]]]:
    monkeypatch.setattr("simulators.demo.SENSORS_EVERY_S", 0.5)
    building = Building(7, RETROFIT)
    ports = free_ports()
    async with serve(building, ports, folder, lambda: NOON):
        yield building, ports


RESOLUTION = {"energy_import": 0.13, "energy_export": 0.13, "volume": 0.011, "temperature": 0.006, "co2": 0.6,
              "humidity": 0.06, "frequency": 0.006, "current_l1": 0.006, "voltage_l1": 0.06}  # fmt: skip
"""What the devices' registers and sensors can show at best; f32 kWh of a million resolve 0.125."""


async def test_every_point_reads_back_as_the_building_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with demo(tmp_path, monkeypatch) as (building, ports):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            own_port = probe.getsockname()[1]
        for wire in DEMO_WIRE:
            for point, value in (await read(wire, ports, building, own_port)).items():
                true = building.value_at(wire.name, point, NOON)
                close = pytest.approx(true, rel=1e-6, abs=RESOLUTION.get(point, 1e-4))
                assert value == close, f"{wire.name}/{point}"


async def test_receiver_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with demo(tmp_path, monkeypatch) as (_, ports), httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{ports['cloud']}/ping")
    assert answer.status_code == 204


def test_wire_carries_every_point_of_the_building() -> None:
    served = {(device.name, point.name) for device in DEMO_WIRE for point in device.points()}
    assert served == {(device, point) for device, point, *_ in Building(7, RETROFIT).points()}


def test_wire_map_names_place_and_unit_of_every_point_and_is_json() -> None:
    rows = json.loads(json.dumps(wire_map({"main-meter": 9021, "page": 8080})))
    assert {row["port"] for row in rows if row["device"] == "main-meter"} == {9021}
    (energy,) = [row for row in rows if (row["device"], row["point"]) == ("main-meter", "energy_import")]
    assert (energy["unit"], energy["unit_id"], energy["address"]) == (
        "Wh",
        1,
        {"register": 3203, "type": "i64"},
    )
    (roof,) = [row for row in rows if row["device"] == "roof"]
    assert roof["topic"] == "building/roof/outdoor_temperature"


async def test_broker_on_a_taken_port_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            await Broker("127.0.0.1", port).start()


class Process:
    """`python -m simulators` as a child, ready to be ended."""

    def __init__(self, folder: Path) -> None:
        self.ports = free_ports()
        arguments = ["--retrofit", "2025-10-01", "--ports", json.dumps(self.ports), "--state", str(folder)]
        self.child = subprocess.Popen(
            [sys.executable, "-m", "simulators", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.child.stdout is not None
        self.first_line = self.child.stdout.readline().decode()

    def ended_within(self, seconds: float) -> int:
        try:
            return self.child.wait(seconds)
        finally:
            self.child.kill()
            self.child.wait()
            assert self.child.stdin is not None
            assert self.child.stdout is not None
            self.child.stdin.close()
            self.child.stdout.close()


def test_process_says_when_it_is_ready_and_ends_when_its_stdin_closes(tmp_path: Path) -> None:
    process = Process(tmp_path)
    word, _, ports = process.first_line.partition(" ")
    assert word == "ready"
    assert json.loads(ports) == process.ports
    assert process.child.stdin is not None
    process.child.stdin.close()
    assert process.ended_within(5) == 0


def test_process_ends_on_sigterm(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.child.send_signal(signal.SIGTERM)
    assert process.ended_within(5) == 0


def test_process_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    ports = free_ports()
    script = (
        "import subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'simulators', *sys.argv[1:]]\n"
        "child = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\ntime.sleep(60)\n"
    )
    arguments = ["--retrofit", "2025-10-01", "--ports", json.dumps(ports), "--state", str(tmp_path)]
    parent = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline().startswith(b"ready")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the simulators outlived their parent"
        time.sleep(0.05)
