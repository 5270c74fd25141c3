"""Answers as octets on the wire: garbled ones, lost ones, and one written out by hand."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

from drivers.bacnet.driver import create
from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.base import Device, FaultCode, Point, PollGroup, Quality

READ_PROPERTY, READ_MULTIPLE = 12, 14
IDENTITY = bytes.fromhex("0c 020004b1 194b 3e c4020004b1 3f")
"""ReadProperty-ACK: object-identifier of device,1201 is device,1201."""


class Wire(asyncio.DatagramProtocol):
    """A device made of prepared answers. answers: service parameters, one for each read; None is silence."""

    def __init__(self, answers):
        self.answers = list(answers)

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        apdu = data[6:]  # behind BVLL (4 octets) and NPDU (2)
        if len(apdu) < 4 or apdu[0] & 0xF0:  # only confirmed requests are answered
            return
        invoke, service = apdu[2], apdu[3]
        answer = IDENTITY if service == READ_PROPERTY else self.answers.pop(0) if self.answers else None
        if answer is not None:
            body = bytes([0x01, 0x00, 0x30, invoke, service]) + answer
            self.transport.sendto(b"\x81\x0a" + (len(body) + 4).to_bytes(2, "big") + body, sender)


@asynccontextmanager
async def _polling(free_port, objects, answers, wire=Wire, **settings):
    port = free_port()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: wire(answers), local_addr=("127.0.0.1", port))
    link = LinkSettings(address="127.0.0.1/24", port=free_port(), apdu_timeout=0.15, retries=0)
    driver = create("bms", link, time.time_ns)
    points = tuple(
        Point(series, "d", f"p{series}", PointSettings(object=item), "temperature", "degC", "degC")
        for series, item in enumerate(objects)
    )
    group = PollGroup("d", 1.0, points)
    known = DeviceSettings.model_validate(
        {"device_instance": 1201, "address": f"127.0.0.1:{port}"} | settings
    )
    await driver.assign([Device("d", known, (group,))])
    await driver.open(lambda _: asyncio.sleep(0))
    try:
        yield driver, group
    finally:
        await driver.close()
        transport.close()


def _real(instance, octets):
    return bytes.fromhex(f"0c {instance:08x} 1e 2955 4e 44 {octets} 4f 1f")


async def test_an_answer_written_by_hand_is_read(free_port):
    async with _polling(free_port, ["analog-input,1"], [_real(1, "41b40000")]) as (driver, group):
        assert (await driver.poll(group)).batch.value.tolist() == [22.5]


async def test_a_garbled_answer_is_a_fault_and_the_next_one_counts(free_port):
    answers = [bytes.fromhex("deadbeef"), _real(1, "41b40000")]
    async with _polling(free_port, ["analog-input,1"], answers) as (driver, group):
        garbled = await driver.poll(group)
        assert garbled.point_faults[0].code is FaultCode.GARBLED
        assert garbled.batch.quality.tolist() == [Quality.COMM_LOST]
        assert (await driver.poll(group)).batch.quality.tolist() == [Quality.GOOD]


async def test_a_lost_answer_costs_its_own_points_only(free_port):
    objects = ["analog-input,1", "analog-input,2", "analog-input,3"]
    answers = [_real(1, "3f800000"), None]
    async with _polling(free_port, objects, answers, max_batch=1, max_in_flight=1) as (driver, group):
        result = await driver.poll(group)
        assert result.fault is None  # the device does answer
        assert result.batch.quality.tolist() == [Quality.GOOD, Quality.COMM_LOST, Quality.COMM_LOST]
        assert {fault.code for fault in result.point_faults.values()} == {FaultCode.NO_ANSWER}


async def test_not_a_number_and_infinity_are_bad_values(free_port):
    for octets in ("7fc00000", "7f800000"):
        async with _polling(free_port, ["analog-input,1"], [_real(1, octets)]) as (driver, group):
            result = await driver.poll(group)
            assert result.batch.quality.tolist() == [Quality.BAD_VALUE]
            assert result.point_faults[0].code is FaultCode.BAD_PAYLOAD


class LateWire(Wire):
    """Answers the first read only when the second one comes: then both, the old one first."""

    held = None

    def datagram_received(self, data, sender):
        apdu = data[6:]
        if apdu[3] == READ_MULTIPLE and self.held is None:
            self.held = data
            return
        if apdu[3] == READ_MULTIPLE:
            super().datagram_received(self.held, sender)
        super().datagram_received(data, sender)


async def test_a_late_answer_is_not_taken_for_the_next_request(free_port):
    answers = [_real(1, "3f800000"), _real(1, "42c80000")]
    async with _polling(free_port, ["analog-input,1"], answers, wire=LateWire) as (driver, group):
        assert (await driver.poll(group)).fault is not None
        assert (await driver.poll(group)).batch.value.tolist() == [100.0]
