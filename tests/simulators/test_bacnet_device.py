"""The simulated BACnet device behaves like a controller, and its values are a function of time."""

from __future__ import annotations

import asyncio
import math
import socket
import time

import pytest
from bacpypes3.basetypes import EngineeringUnits
from bacpypes3.primitivedata import Null, Real

from drivers.bacnet.settings import LinkSettings, PointSettings
from drivers.bacnet.stack import Stack
from simulators.bacnet import BacnetDevice
from simulators.base import ServedPoint


def _port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
async def client():
    stack = await Stack.open(LinkSettings(address="127.0.0.1/24", port=_port(), apdu_timeout=0.3, retries=0))
    yield stack.app
    await stack.close()


class _Clock:
    def __init__(self):
        self.ns = 10**18

    def __call__(self):
        return self.ns


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
async def ahu(clock):
    """supply_temp rises 1 degC a second; the setpoint is 21."""
    points = [
        ServedPoint("supply_temp", PointSettings(object="analog-input,1"), lambda ns: ns / 1e9 - 1e9, "degC"),
        ServedPoint("setpoint", PointSettings(object="analog-value,1"), lambda _: 21.0, "degC"),
        ServedPoint("valve", PointSettings(object="analog-output,1"), lambda _: 40.0, "%"),
        ServedPoint("fan", PointSettings(object="binary-value,1"), lambda _: 1.0),
    ]
    device = BacnetDevice("127.0.0.1", _port(), 1201, "ahu-1", points, clock)
    await device.start()
    yield device
    await device.stop()


async def _read(client, device, what, prop="present-value"):
    return await client.read_property(f"127.0.0.1:{device.port}", what, prop)


async def test_values_are_those_of_the_moment_of_reading(client, ahu, clock):
    assert float(await _read(client, ahu, "analog-input,1")) == 0.0
    clock.ns += 7_000_000_000
    assert float(await _read(client, ahu, "analog-input,1")) == 7.0


async def test_objects_say_their_name_unit_and_state(client, ahu):
    assert str(await _read(client, ahu, "analog-input,1", "object-name")) == "supply_temp"
    assert await _read(client, ahu, "analog-input,1", "units") == EngineeringUnits.degreesCelsius
    assert await _read(client, ahu, "analog-output,1", "units") == EngineeringUnits.percent
    assert list(await _read(client, ahu, "analog-input,1", "status-flags")) == [0, 0, 0, 0]
    assert str(await _read(client, ahu, "device,1201", "object-name")) == "ahu-1"


async def test_a_command_outweighs_the_function_of_time_until_it_is_relinquished(client, ahu, clock):
    address = f"127.0.0.1:{ahu.port}"
    await client.write_property(address, "analog-value,1", "present-value", Real(19.0), priority=12)
    clock.ns += 1_000_000_000
    assert float(await _read(client, ahu, "analog-value,1")) == 19.0
    await client.write_property(address, "analog-value,1", "present-value", Null(()), priority=12)
    clock.ns += 1_000_000_000
    assert float(await _read(client, ahu, "analog-value,1")) == 21.0


async def test_an_input_cannot_be_commanded_for_long(client, ahu, clock):
    clock.ns += 3_000_000_000
    await client.write_property(f"127.0.0.1:{ahu.port}", "analog-input,1", "present-value", Real(99.0))
    clock.ns += 1_000_000_000
    assert float(await _read(client, ahu, "analog-input,1")) == 4.0


async def test_not_a_number_takes_the_device_off_the_wire(client):
    value = [20.0]
    point = ServedPoint("t", PointSettings(object="analog-input,1"), lambda _: value[0], "degC")
    device = BacnetDevice("127.0.0.1", _port(), 1301, "zone-1", [point], time.time_ns)
    await device.start()
    try:
        assert float(await _read(client, device, "analog-input,1")) == 20.0
        value[0] = math.nan
        await asyncio.sleep(0.06)
        assert await client.who_is(1301, 1301, timeout=0.2) == []
        with pytest.raises(BaseException, match="no-response"):
            await _read(client, device, "analog-input,1")
        value[0] = 22.0
        await asyncio.sleep(0.06)
        assert float(await _read(client, device, "analog-input,1")) == 22.0
    finally:
        await device.stop()


async def test_five_devices_live_in_one_process(client):
    devices = [
        BacnetDevice(
            "127.0.0.1",
            _port(),
            1300 + n,
            f"zone-{n}",
            [ServedPoint("temp", PointSettings(object="analog-input,1"), lambda _, n=n: 20.0 + n, "degC")],
            time.time_ns,
        )
        for n in range(5)
    ]
    await asyncio.gather(*(device.start() for device in devices))
    try:
        read = [float(await _read(client, device, "analog-input,1")) for device in devices]
        assert read == [20.0, 21.0, 22.0, 23.0, 24.0]
    finally:
        await asyncio.gather(*(device.stop() for device in devices))


async def test_a_device_starts_again_on_its_port_and_leaves_no_task(clock):
    point = ServedPoint("t", PointSettings(object="analog-input,1"), lambda _: 20.0, "degC")
    device = BacnetDevice("127.0.0.1", _port(), 1301, "zone-1", [point], clock)
    for _ in range(2):
        await device.start()
        await device.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_taken_port_is_an_error(clock):
    port = _port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        with pytest.raises(OSError, match="in use"):
            await BacnetDevice("127.0.0.1", port, 1301, "zone-1", [], clock).start()


async def test_an_object_type_that_is_not_simulated_is_refused(clock):
    point = ServedPoint("s", PointSettings(object="schedule,1"), lambda _: 1.0)
    with pytest.raises(ValueError, match="not simulated"):
        await BacnetDevice("127.0.0.1", _port(), 1301, "zone-1", [point], clock).start()
