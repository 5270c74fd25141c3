"""A stack that is not ours on the other side, and tshark's word on our frames."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import struct
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers.bacnet.driver import create
from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.base import Device, FaultCode, Kind, Point, PollGroup, Quality, Write

HERE = Path(__file__).parent
PEER = HERE.parents[2] / ".venv" / "bacnet-peer"
OURS, THEIRS, TAP = "127.0.0.2", "127.0.0.3", "127.0.0.4"
"""node-bacnet takes nothing that comes from 127.0.0.1."""


@pytest.fixture(autouse=True)
def _peer(need):
    need("Debian's nodejs is needed", there=shutil.which("node") is not None)
    need("node-bacnet is needed: run .ci/setup test", there=(PEER / "node_modules" / "node-bacnet").is_dir())


def _free_port(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Tap(asyncio.DatagramProtocol):
    """Stands between the gateway and a device and keeps every frame: (from the gateway?, octets)."""

    def __init__(self, device):
        self.device = device
        self.frames = []
        self._gateway = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        ours = sender != self.device
        self.frames.append((ours, data))
        if ours:
            self._gateway = sender
        self.transport.sendto(data, self.device if ours else self._gateway)


@asynccontextmanager
async def _node(script, *arguments):
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(PEER / "node_modules")}
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / script), *map(str, arguments), env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()


@asynccontextmanager
async def _reading(objects, *, cov=None, kind=Kind.GAUGE, **settings):
    """The driver, a poll group on the node device, the tap between them, the device's process."""
    device, tap_port = (THEIRS, _free_port(THEIRS)), _free_port(TAP)
    delivered = []

    async def deliver(delivery):
        delivered.append(delivery)

    async with _node("device.js", *device) as process:
        async with asyncio.timeout(10):
            assert await process.stdout.readline() == b"ready\n"
        transport, tap = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Tap(device), local_addr=(TAP, tap_port)
        )
        link = LinkSettings(address=f"{OURS}/24", port=_free_port(OURS), apdu_timeout=1.0)
        driver = create("bms", link, time.time_ns)
        await driver.open(deliver)
        points = tuple(
            Point(n, "node", f"p{n}", PointSettings(object=o), "temperature", "degC", "degC", kind, cov)
            for n, o in enumerate(objects)
        )
        group = PollGroup("node", 1.0, points)
        known = {"device_instance": 1201, "address": f"{TAP}:{tap_port}"} | settings
        await driver.assign([Device("node", DeviceSettings.model_validate(known), (group,))])
        try:
            yield driver, group, tap, process, delivered
        finally:
            await driver.close()
            transport.close()


def _dissected(frames, path):
    """tshark's view of frames: (how many are BACnet, what it complains of)."""
    with path.open("wb") as pcap:
        pcap.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))  # raw IPv4
        for ours, data in frames:
            ports = (47808, 47809) if ours else (47809, 47808)
            udp = struct.pack(">HHHH", *ports, 8 + len(data), 0) + data
            ends = (b"\x0a\0\0\x01", b"\x0a\0\0\x02") if ours else (b"\x0a\0\0\x02", b"\x0a\0\0\x01")
            header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, *ends)
            pcap.write(struct.pack("<IIII", 0, 0, 20 + len(udp), 20 + len(udp)) + header + udp)
    command = ["tshark", "-r", str(path), "-d", "udp.port==47808,bvlc", "-T", "fields",
               "-e", "frame.protocols", "-e", "_ws.malformed", "-e", "_ws.expert.message",
               "-e", "_ws.col.Info"]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in ended.stdout.splitlines()]
    complaints = [row for row in rows if row[1] or row[2] or "alformed" in row[3]]
    return sum("bacapp" in row[0] for row in rows), complaints


async def test_values_are_read_in_batches_and_an_unknown_object_costs_its_point_only():
    objects = [*(f"analog-input,{n}" for n in range(1, 61)), "analog-input,99"]
    async with _reading(objects, status_flags=True) as (driver, group, *_):
        for _ in range(2):
            result = await driver.poll(group)
            assert result.batch.value[:60].tolist() == [n / 2 for n in range(1, 61)]
            assert result.batch.quality.tolist() == [Quality.GOOD] * 60 + [Quality.NOT_AVAILABLE]


async def test_a_command_is_typed_and_in_its_slot_for_another_stack_too():
    async with _reading(["analog-value,1"], kind=Kind.SETPOINT) as (driver, group, _, process, _d):
        taken = await driver.write(Write(group.points[0], 23.5, 12))
        assert (taken.fault, taken.read_back, taken.active_priority) == (None, 23.5, 12)
        assert json.loads(await process.stdout.readline()) == {"type": 4, "value": 23.5, "priority": 12}
        given_up = await driver.write(Write(group.points[0], None, 12))
        assert (given_up.fault, given_up.read_back, given_up.active_priority) == (None, 21.0, None)


async def test_a_refused_command_is_said_in_words():
    async with _reading(["analog-input,1"], kind=Kind.SETPOINT) as (driver, group, *_):
        result = await driver.write(Write(group.points[0], 23.5, 12))
        assert result.fault.code is FaultCode.DENIED
        assert "does not let this point be written" in result.fault.detail


async def test_a_change_is_notified_by_another_stack():
    async with _reading(["analog-input,1"], cov=0.2) as (_driver, _group, _tap, _process, delivered):
        async with asyncio.timeout(5):
            while not delivered:  # noqa: ASYNC110 - the peer is another process
                await asyncio.sleep(0.01)
        assert delivered[0].batch.value.tolist() == [30.5]


async def test_tshark_finds_nothing_wrong_in_our_frames(need, tmp_path):
    need("Debian's tshark is needed", there=shutil.which("tshark") is not None)
    objects = [*(f"analog-input,{n}" for n in range(1, 61)), "analog-value,1"]
    async with _reading(objects, cov=0.2, kind=Kind.SETPOINT, status_flags=True) as (
        driver, group, tap, _process, delivered,
    ):  # fmt: skip
        await driver.poll(group)
        await driver.write(Write(group.points[-1], 23.5, 12))
        await driver.write(Write(group.points[-1], None, 12))
        async with asyncio.timeout(5):
            while not delivered:  # noqa: ASYNC110 - the peer is another process
                await asyncio.sleep(0.01)
    ours = [frame for frame in tap.frames if frame[0]]
    understood, complaints = _dissected(ours, tmp_path / "ours.pcap")
    assert complaints == []
    assert understood == len(ours) > 10


async def test_tshark_would_complain_of_a_cut_frame(need, tmp_path):
    """What the test above would see of a wrong encoding."""
    need("Debian's tshark is needed", there=shutil.which("tshark") is not None)
    async with _reading(["analog-input,1"]) as (driver, group, tap, *_):
        await driver.poll(group)
    whole = next(data for ours, data in reversed(tap.frames) if ours)
    length = 13  # in the middle of the object identifier
    cut = whole[:2] + length.to_bytes(2, "big") + whole[4:length]
    assert _dissected([(True, cut)], tmp_path / "cut.pcap")[1]


async def test_another_stack_reads_the_gateways_own_device_and_cannot_write_to_it():
    port = _free_port(OURS)
    driver = create("bms", LinkSettings(address=f"{OURS}/24", port=port), time.time_ns)
    await driver.open(lambda _: asyncio.sleep(0))
    try:
        arguments = (THEIRS, _free_port(THEIRS), f"{OURS}:{port}", 3056, 8, 3056)
        async with _node("client.js", *arguments) as process, asyncio.timeout(15):
            told = json.loads(await process.stdout.readline())
    finally:
        await driver.close()
    assert told["instance"] == 3056
    assert told["name"] == "heyzack-gateway"
    assert "error" in told["write"]
