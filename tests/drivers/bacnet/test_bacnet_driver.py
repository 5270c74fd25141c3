"""Polling a real device on loopback: values, faults, and what the driver learns of a device's limits."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest
from bacpypes3.basetypes import Segmentation
from bacpypes3.errors import ObjectError
from bacpypes3.primitivedata import Real

from drivers.bacnet.fastpath import FastReader
from drivers.bacnet.plan import build_plan
from drivers.bacnet.settings import PointSettings
from drivers.bacnet.stock import StockReader
from drivers.base import FaultCode, Quality

AHU = {"analog-input,1": 18.5, "analog-value,1": 21.0, "binary-value,1": 1.0, "multi-state-value,1": 3.0}


async def test_a_poll_brings_every_point_in_the_order_of_its_group(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["multi-state-value,1", "binary-value,1", "analog-input,1", "analog-value,1"])
        result = await b.driver.poll(group)
        assert result.batch.value.tolist() == [3.0, 1.0, 18.5, 21.0]
        assert result.batch.series.tolist() == [0, 1, 2, 3]
        assert result.batch.quality.tolist() == [Quality.GOOD] * 4
        assert result.fault is None
        assert not result.point_faults


async def test_the_same_plan_brings_new_values(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1", "binary-value,1"])
        await b.driver.poll(group)
        b.values.update({"analog-input,1": -4.25, "binary-value,1": 0.0})
        await asyncio.sleep(0.06)  # the simulated device computes its values at most every 50 ms
        assert (await b.driver.poll(group)).batch.value.tolist() == [-4.25, 0.0]


async def test_an_unknown_object_spoils_only_its_own_point(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1", "analog-input,99", "analog-value,1"])
        result = await b.driver.poll(group)
        assert result.batch.quality.tolist() == [Quality.GOOD, Quality.NOT_AVAILABLE, Quality.GOOD]
        assert math.isnan(result.batch.value[1])
        assert result.point_faults[1].code is FaultCode.NO_SUCH_OBJECT
        assert result.fault is None


async def test_a_device_with_only_unknown_objects_still_answers(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,98", "analog-input,99"])
        for _ in range(2):
            result = await b.driver.poll(group)
            assert result.fault is None
            assert {fault.code for fault in result.point_faults.values()} == {FaultCode.NO_SUCH_OBJECT}


async def test_text_is_no_value(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign([PointSettings(object="analog-input,1", property="77"), "analog-input,1"])
        result = await b.driver.poll(group)
        assert result.batch.quality.tolist() == [Quality.BAD_VALUE, Quality.GOOD]
        assert result.point_faults[0].code is FaultCode.BAD_PAYLOAD


async def test_an_element_of_a_priority_array_is_null_until_commanded(bench):
    async with bench(dict(AHU)) as b:
        at_8 = PointSettings(object="analog-value,1", property="priority-array", array_index=8)
        group = await b.assign([at_8])
        assert (await b.driver.poll(group)).batch.quality.tolist() == [Quality.BAD_VALUE]
        served = b.controller.application.objectName["point analog-value,1"]
        await served.write_property("presentValue", Real(19.5), priority=8)
        assert (await b.driver.poll(group)).batch.value.tolist() == [19.5]


async def test_status_flags_become_qualities(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1", "analog-value,1", "binary-value,1"], status_flags=True)
        objects = b.controller.application.objectName
        objects["point analog-input,1"].reliability = "noSensor"
        objects["point analog-value,1"].outOfService = True
        result = await b.driver.poll(group)
        assert result.batch.quality.tolist() == [Quality.FAULT, Quality.OVERRIDDEN, Quality.GOOD]
        assert math.isnan(result.batch.value[0])
        assert result.batch.value[1] == 21.0
        assert result.point_faults.keys() == {0}


async def test_silence_is_the_fault_of_the_device_and_costs_one_time_out(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1", "analog-value,1"], max_batch=1)
        assert (await b.driver.poll(group)).fault is None
        b.values["analog-input,1"] = math.nan  # the simulated device leaves the wire
        await asyncio.sleep(0.06)
        result = await b.driver.poll(group)
        assert result.fault is not None
        assert result.fault.code is FaultCode.NO_ANSWER
        assert result.batch.quality.tolist() == [Quality.COMM_LOST] * 2
        assert result.latency_s < 0.5


async def test_a_device_that_returns_is_read_again(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1"])
        b.values["analog-input,1"] = math.nan
        assert (await b.driver.poll(group)).fault is not None
        b.values["analog-input,1"] = 20.0
        await asyncio.sleep(0.06)
        assert (await b.driver.poll(group)).batch.value.tolist() == [20.0]


async def test_another_device_at_the_static_address_is_not_believed(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1"], device_instance=1202)
        result = await b.driver.poll(group)
        assert result.fault is not None
        assert "not device 1202" in result.fault.detail
        assert np.isnan(result.batch.value).all()


async def test_a_device_nobody_answers_for_has_no_answer(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1"], address=None)
        result = await b.driver.poll(group)  # Who-Is by broadcast does not cross ports on loopback
        assert result.fault is not None
        assert result.fault.code is FaultCode.NO_ANSWER
        assert "Who-Is" in result.fault.detail


async def test_batches_shrink_to_what_a_device_without_segmentation_can_send(bench):
    values = {f"analog-input,{i}": float(i) for i in range(120)}
    async with bench(values) as b:
        b.controller.application.device_object.segmentationSupported = Segmentation.noSegmentation
        group = await b.assign(list(values), max_batch=200)
        for _ in range(2):
            result = await b.driver.poll(group)
            assert result.batch.value.tolist() == [float(i) for i in range(120)]


async def test_segmented_answers_are_put_together(bench):
    values = {f"analog-input,{i}": float(i) for i in range(120)}
    async with bench(values) as b:
        group = await b.assign(list(values), max_batch=200)
        assert (await b.driver.poll(group)).batch.value.tolist() == [float(i) for i in range(120)]


async def test_a_device_without_read_property_multiple_is_read_point_by_point(bench):
    async with bench(dict(AHU)) as b:
        b.controller.application.do_ReadPropertyMultipleRequest = (
            None  # bacpypes3 rejects: unrecognized service
        )
        group = await b.assign(["analog-input,1", "analog-input,99", "binary-value,1"])
        for _ in range(2):
            result = await b.driver.poll(group)
            assert result.batch.quality.tolist() == [Quality.GOOD, Quality.NOT_AVAILABLE, Quality.GOOD]
            assert result.batch.value[[0, 2]].tolist() == [18.5, 1.0]


async def test_a_device_that_fails_a_whole_request_for_one_object_loses_only_that_point(bench):
    async with bench({f"analog-input,{i}": float(i) for i in range(8)}) as b:
        app = b.controller.application
        stock, requests = app.do_ReadPropertyMultipleRequest, []

        async def all_or_nothing(apdu):
            requests.append(apdu)
            if any(app.get_object_id(spec.objectIdentifier) is None for spec in apdu.listOfReadAccessSpecs):
                raise ObjectError("unknown-object")
            await stock(apdu)

        app.do_ReadPropertyMultipleRequest = all_or_nothing
        group = await b.assign([f"analog-input,{i}" for i in [*range(8), 99]])
        for _ in range(2):
            requests.clear()
            result = await b.driver.poll(group)
            assert result.batch.quality.tolist() == [Quality.GOOD] * 8 + [Quality.NOT_AVAILABLE]
        assert len(requests) == 2  # learned: the well points together, the ill one apart


async def test_a_traced_poll_shows_the_tagged_value(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1", "binary-value,1"])
        assert (await b.driver.poll(group, trace=True)).raw == {0: "4441940000", 1: "9101"}
        assert (await b.driver.poll(group)).raw == {}


async def test_closing_ends_a_poll_that_waits(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1"])
        await b.driver.poll(group)
        b.values["analog-input,1"] = math.nan
        await asyncio.sleep(0.06)
        poll = asyncio.create_task(b.driver.poll(group))
        await asyncio.sleep(0.01)
        await b.driver.close()
        result = await asyncio.wait_for(poll, 0.1)
        assert result.fault is not None
        assert result.fault.code is FaultCode.NO_ANSWER


async def test_polls_of_one_group_may_overlap(bench):
    values = {f"analog-input,{i}": float(i) for i in range(100)}
    async with bench(values) as b:
        group = await b.assign(list(values), max_batch=5)
        results = await asyncio.gather(*(b.driver.poll(group) for _ in range(4)))
        assert all(result.batch.value.tolist() == [float(i) for i in range(100)] for result in results)


async def test_reassigning_the_same_device_keeps_what_was_learned_of_it(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1"])
        await b.driver.poll(group)
        session = b.driver.link._sessions["ahu-1"]
        await b.assign(["analog-input,1", "analog-value,1"])
        assert b.driver.link._sessions["ahu-1"] is session
        await b.assign(["analog-input,1"], max_batch=3)
        assert b.driver.link._sessions["ahu-1"] is not session


async def test_a_poll_before_open_and_of_an_unknown_device_is_bad_not_an_error(bench):
    async with bench(dict(AHU)) as b:
        group = await b.assign(["analog-input,1"])
        await b.driver.assign([])
        assert (await b.driver.poll(group)).fault is not None
        await b.driver.close()
        result = await b.driver.poll(group)
        assert result.fault is not None
        assert result.batch.quality.tolist() == [Quality.COMM_LOST]


@pytest.mark.parametrize("status_flags", [False, True])
async def test_the_fast_path_and_the_library_read_the_same(bench, status_flags):
    values = {f"analog-{kind},{i}": i / 3 for i in range(12) for kind in ("input", "output", "value")}
    values |= {f"binary-input,{i}": float(i % 2) for i in range(5)} | {"multi-state-input,1": 200.0}
    async with bench(values) as b:
        others = ["units", "out-of-service", "cov-increment", "77", "priority-array", "event-state"]
        wanted = [
            *values,
            "analog-input,99",
            *(PointSettings(object="analog-output,1", property=p) for p in others),
        ]
        group = await b.assign(wanted)
        await b.driver.poll(group)
        session, app = b.driver.link._sessions["ahu-1"], b.driver.link.stack.app
        for request in build_plan(group.points, 20, status_flags=status_flags):
            fast = await FastReader(app).read(session.address, request)
            stock = await StockReader(app).read(session.address, request)
            np.testing.assert_array_equal(fast.value, stock.value)
            np.testing.assert_array_equal(fast.state, stock.state)
            assert fast.errors == stock.errors
