"""Commands: typed, into a slot, read back; refused in words; and none that nobody asked for."""

from __future__ import annotations

import asyncio
import math

import pytest
from bacpypes3.errors import ExecutionError
from bacpypes3.primitivedata import Real

from drivers.bacnet.settings import PointSettings
from drivers.base import FaultCode, Kind, Write

WRITES = {15, 16}
"""WriteProperty, WritePropertyMultiple."""
OBJECTS = {
    "analog-value,1": 21.0, "analog-output,1": 40.0, "binary-value,1": 0.0, "multi-state-output,1": 1.0,
}  # fmt: skip


async def _point(b, item, kind=Kind.SETPOINT):
    return (await b.assign([item], kind=kind)).points[0]


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("analog-value,1", 19.5),
        ("analog-output,1", 75.25),
        ("binary-value,1", 1.0),
        ("multi-state-output,1", 3.0),
    ],
)
async def test_a_command_is_taken_and_read_back_with_its_slot(bench, item, value):
    async with bench(dict(OBJECTS)) as b:
        result = await b.driver.write(Write(await _point(b, item), value, 12))
        assert result.fault is None
        assert (result.read_back, result.active_priority) == (value, 12)
        served = b.controller.application.objectName[f"point {item}"]
        assert float(served.presentValue) == value
        assert result.latency_s > 0


async def test_giving_up_the_slot_leaves_the_devices_own_value(bench):
    async with bench(dict(OBJECTS)) as b:
        point = await _point(b, "analog-value,1")
        await b.driver.write(Write(point, 25.0, 12))
        result = await b.driver.write(Write(point, None, 12))
        assert (result.fault, result.read_back, result.active_priority) == (None, 21.0, None)


async def test_a_higher_slot_is_told_not_hidden(bench):
    async with bench(dict(OBJECTS)) as b:
        served = b.controller.application.objectName["point analog-value,1"]
        await served.write_property("presentValue", Real(16.0), priority=8)  # the caretaker, by hand
        result = await b.driver.write(Write(await _point(b, "analog-value,1"), 22.0, 12))
        assert result.fault is None
        assert (result.read_back, result.active_priority) == (16.0, 8)


async def test_a_command_reads_back_from_a_device_without_read_property_multiple(bench):
    async with bench(dict(OBJECTS)) as b:
        b.controller.application.do_ReadPropertyMultipleRequest = None
        result = await b.driver.write(Write(await _point(b, "analog-value,1"), 22.0, 12))
        assert (result.fault, result.read_back, result.active_priority) == (None, 22.0, 12)


@pytest.mark.parametrize(
    ("code", "fault", "said"),
    [
        ("write-access-denied", FaultCode.DENIED, "does not let this point be written"),
        ("value-out-of-range", FaultCode.REFUSED, "out of range"),
    ],
)
async def test_a_refused_command_is_a_fault_in_words(bench, code, fault, said):
    async with bench(dict(OBJECTS)) as b:

        async def refuse(_):
            raise ExecutionError("property", code)

        b.controller.application.do_WritePropertyRequest = refuse
        result = await b.driver.write(Write(await _point(b, "analog-value,1"), 22.0, 12))
        assert result.fault is not None
        assert result.fault.code is fault
        assert said in result.fault.detail
        assert result.read_back is None


async def test_a_command_to_an_unknown_object_and_to_a_silent_device_says_so(bench):
    async with bench(dict(OBJECTS)) as b:
        unknown = await b.driver.write(Write(await _point(b, "analog-value,9"), 22.0, 12))
        assert unknown.fault.code is FaultCode.NO_SUCH_OBJECT
        b.values["analog-value,1"] = math.nan
        await asyncio.sleep(0.06)
        silent = await b.driver.write(Write(await _point(b, "analog-value,1"), 22.0, 12))
        assert silent.fault.code is FaultCode.NO_ANSWER
        assert "may or may not" in silent.fault.detail


@pytest.mark.parametrize(
    ("item", "kind", "value", "priority", "said"),
    [
        ("analog-value,1", Kind.GAUGE, 22.0, 12, "only setpoints and commands"),
        ("analog-value,1", Kind.SETPOINT, 22.0, 0, "1 is the highest"),
        ("analog-value,1", Kind.SETPOINT, 22.0, 17, "1 is the highest"),
        ("analog-value,1", Kind.SETPOINT, math.nan, 12, "NaN"),
        ("binary-value,1", Kind.COMMAND, 2.0, 12, "takes 0 to 1"),
        ("binary-value,1", Kind.COMMAND, 0.5, 12, "no whole number"),
        ("multi-state-output,1", Kind.COMMAND, 0.0, 12, "takes 1 to"),
        (PointSettings(object="schedule,1"), Kind.SETPOINT, 1.0, 12, "cannot be written"),
    ],
)
async def test_a_senseless_command_never_reaches_the_wire(bench, item, kind, value, priority, said):
    async with bench(dict(OBJECTS)) as b:
        b.listen()
        result = await b.driver.write(Write(await _point(b, item, kind), value, priority))
        assert said in result.fault.detail
        assert b.requests == []


async def test_a_gateway_that_is_told_to_write_nothing_writes_nothing(bench):
    """Reading, subscribing, losing and finding again a device, and leaving: no write request on the wire."""
    async with bench(dict(OBJECTS)) as b:
        b.listen()
        group = await b.assign(list(OBJECTS)[:3], cov=0.2, kind=Kind.SETPOINT, status_flags=True)
        for value in (22.0, math.nan, 23.0):
            b.values["analog-value,1"] = value
            await asyncio.sleep(0.06)
            await b.driver.poll(group)
        await b.driver.close()
        assert len(b.requests) > 4
        assert not WRITES & set(b.requests)


async def test_a_command_before_open_and_to_an_unknown_device_is_a_fault(bench):
    async with bench(dict(OBJECTS)) as b:
        point = await _point(b, "analog-value,1")
        await b.driver.assign([])
        assert (await b.driver.write(Write(point, 1.0, 12))).fault is not None
        await b.driver.close()
        assert "not open" in (await b.driver.write(Write(point, 1.0, 12))).fault.detail
