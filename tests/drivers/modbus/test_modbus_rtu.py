"""RTU over a pair of pseudo-terminals: the line is opened anew after whatever was no clean answer."""

from __future__ import annotations

import asyncio
import os
import pty
import struct
import tty
from collections.abc import AsyncIterator, Callable

import pytest

from drivers.base import Device, FaultCode, PollGroup, Quality
from drivers.modbus.client import ReadRequest
from drivers.modbus.driver import create
from drivers.modbus.errors import Garbled, NoAnswer, NotConnected
from drivers.modbus.settings import DeviceSettings, RtuLinkSettings
from drivers.modbus.stock import RtuClient
from tests.drivers.modbus.simulated_meter import discard, points_of, settings

Reply = Callable[[bytes], bytes]


def crc(frame: bytes) -> bytes:
    """Modbus over Serial Line V1.02, 6.2.2: CRC-16, polynomial 0xA001, low byte first."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


class Slave:
    """Answers each 8-byte request with `reply`; by default registers hold their own address."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        tty.setraw(self.master)
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.reply: Reply = self.truth
        self.received = 0
        asyncio.get_running_loop().add_reader(self.master, self._answer)

    def truth(self, request: bytes) -> bytes:
        unit, function, address, count = struct.unpack(">BBHH", request[:6])
        data = b"".join((address + n).to_bytes(2, "big") for n in range(count))
        frame = bytes([unit, function, len(data)]) + data
        return frame + crc(frame)

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self._slave)

    def _answer(self) -> None:
        request = os.read(self.master, 256)
        assert request[-2:] == crc(request[:-2])
        self.received += 1
        if answer := self.reply(request):
            self.send(answer)


@pytest.fixture
async def slave() -> AsyncIterator[Slave]:
    slave = Slave()
    yield slave
    slave.close()


@pytest.fixture
async def client(slave: Slave) -> AsyncIterator[RtuClient]:
    client = RtuClient(line(slave))
    yield client
    client.close()
    await asyncio.sleep(0)


def line(slave: Slave, **more: object) -> RtuLinkSettings:
    return RtuLinkSettings.model_validate({"port": slave.port, "timeout": 0.15, "parity": "none"} | more)


def register(address: int) -> ReadRequest:
    return ReadRequest(1, 3, address, 1)


async def test_a_register_is_read_over_the_line(client: RtuClient) -> None:
    assert await client.ask(register(1111)) == (1111).to_bytes(2, "big")


async def test_a_late_answer_is_not_taken_for_the_next_one(slave: Slave, client: RtuClient) -> None:
    """RTU has no transaction id: only a fresh line forgets what is still on its way."""
    late: list[bytes] = []
    slave.reply = lambda request: late.append(slave.truth(request)) or b""  # type: ignore[func-returns-value]
    with pytest.raises(NoAnswer):
        await client.ask(register(1111))
    slave.send(late[0])
    slave.reply = slave.truth
    assert await client.ask(register(2222)) == (2222).to_bytes(2, "big")


async def test_a_wrong_checksum_is_garbled(slave: Slave, client: RtuClient) -> None:
    slave.reply = lambda request: slave.truth(request)[:-1] + b"\x00"
    with pytest.raises(Garbled):
        await client.ask(register(1111))
    slave.reply = slave.truth
    assert await client.ask(register(7)) == (7).to_bytes(2, "big")


async def test_silence_is_told_from_noise(slave: Slave, client: RtuClient) -> None:
    slave.reply = lambda _: b""
    with pytest.raises(NoAnswer):
        await client.ask(register(1111))


async def test_an_absent_adapter_is_no_connection() -> None:
    client = RtuClient(RtuLinkSettings(port="/dev/ttyDoesNotExist", timeout=0.1))
    with pytest.raises(NotConnected, match="ttyDoesNotExist cannot be opened: there is no such port"):
        await client.ask(register(0))


async def test_one_garbled_frame_does_not_cost_a_poll(slave: Slave) -> None:
    driver = create("line", line(slave), lambda: 0)
    group = PollGroup("meter", 1.0, points_of({"a": settings(register=5), "b": settings(register=6)}))
    await driver.open(discard)
    await driver.assign([Device("meter", DeviceSettings(), (group,))])
    slave.reply = lambda request: b"\x55\xaa" if slave.received == 1 else slave.truth(request)
    result = await driver.poll(group)
    await driver.close()
    assert result.batch.value.tolist() == [5.0, 6.0]
    assert slave.received == 2


async def test_a_dead_unit_does_not_take_the_line_from_the_others(slave: Slave) -> None:
    driver = create("line", line(slave, retries=0), lambda: 0)
    groups = [PollGroup(name, 1.0, points_of({"a": settings(register=5)}, name)) for name in ("dead", "live")]
    await driver.open(discard)
    await driver.assign([Device(g.device, DeviceSettings(unit_id=n), (g,)) for n, g in enumerate(groups, 1)])
    slave.reply = lambda request: b"" if request[0] == 1 else slave.truth(request)
    dead, live = await asyncio.gather(*(driver.poll(group) for group in groups))
    await driver.close()
    assert dead.fault is not None
    assert dead.fault.code is FaultCode.NO_ANSWER
    assert live.batch.quality.tolist() == [Quality.GOOD]
