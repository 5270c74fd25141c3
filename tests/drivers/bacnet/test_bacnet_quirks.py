"""What was learned of a device outlives the driver, for a while, and only for that device."""

from __future__ import annotations

import asyncio
import time

import pytest
from bacpypes3.basetypes import Segmentation
from bacpypes3.errors import ObjectError

from drivers.bacnet.plan import Reference
from drivers.bacnet.quirks import BATCH, BELIEVED_FOR_S, Quirks
from drivers.base import NoMemory, Quality

READ_PROPERTY, READ_MULTIPLE = 12, 14
SMALL_APDU = 3
"""480 octets, the code of a request's max-APDU field: what an MS/TP controller sends."""


def _limit(bench, apdu_code=None):
    """Make the controller one that cannot segment, and that sends no more than `apdu_code` says."""
    app = bench.controller.application
    app.device_object.segmentationSupported = Segmentation.noSegmentation
    if apdu_code is not None:
        stock = app.asap.confirmation

        async def confirmation(pdu):
            if pdu.pduData[0] >> 4 == 0:
                pdu.pduData[1] = pdu.pduData[1] & 0xF0 | apdu_code
            await stock(pdu)

        app.asap.confirmation = confirmation


async def test_1400_points_without_segmentation_are_all_read_and_the_next_driver_asks_right_at_once(
    bench,
):
    values = {f"analog-input,{i}": i / 4 for i in range(1400)}
    async with bench(values, apdu_timeout=2.0) as b:
        _limit(b, SMALL_APDU)
        b.listen()
        group = await b.assign(list(values), status_flags=True)
        result = await b.driver.poll(group)
        assert result.latency_s < 10
        assert result.batch.value.tolist() == list(values.values())
        assert set(result.batch.quality.tolist()) == {Quality.GOOD}
        while_learning = len(b.requests)

        await b.restart()
        group = await b.assign(list(values), status_flags=True)
        b.requests.clear()
        result = await b.driver.poll(group)
        assert result.batch.value.tolist() == list(values.values())
        assert b.requests.count(READ_MULTIPLE) == -(-1400 // 13)  # 50 halved twice: 25, 13
        assert len(b.requests) < while_learning


async def test_without_shrinking_nothing_is_read_of_such_a_device(bench, monkeypatch):
    """What the test above would see without the handling."""
    monkeypatch.setattr("drivers.bacnet.session.is_too_big", lambda _: False)
    values = {f"analog-value,{i}": 1.0 for i in range(100)}
    async with bench(values) as b:
        _limit(b, SMALL_APDU)
        result = await b.driver.poll(await b.assign(list(values), status_flags=True))
        assert Quality.GOOD not in result.batch.quality.tolist()


async def test_a_device_without_read_property_multiple_is_known_after_a_restart(bench):
    async with bench({"analog-input,1": 20.0, "analog-input,2": 21.0}) as b:
        b.controller.application.do_ReadPropertyMultipleRequest = None
        b.listen()
        await b.driver.poll(await b.assign(["analog-input,1", "analog-input,2"]))
        assert READ_MULTIPLE in b.requests
        await b.restart()
        b.requests.clear()
        result = await b.driver.poll(await b.assign(["analog-input,1", "analog-input,2"]))
        assert result.batch.value.tolist() == [20.0, 21.0]
        assert set(b.requests) == {READ_PROPERTY}


async def test_a_point_that_fails_whole_requests_is_asked_apart_after_a_restart(bench):
    async with bench({f"analog-input,{i}": float(i) for i in range(8)}) as b:
        app = b.controller.application
        stock = app.do_ReadPropertyMultipleRequest

        async def all_or_nothing(apdu):
            if any(app.get_object_id(spec.objectIdentifier) is None for spec in apdu.listOfReadAccessSpecs):
                raise ObjectError("unknown-object")
            await stock(apdu)

        app.do_ReadPropertyMultipleRequest = all_or_nothing
        b.listen()
        wanted = [f"analog-input,{i}" for i in [*range(8), 99]]
        await b.driver.poll(await b.assign(wanted))
        await b.restart()
        b.requests.clear()
        result = await b.driver.poll(await b.assign(wanted))
        assert result.batch.quality.tolist() == [Quality.GOOD] * 8 + [Quality.NOT_AVAILABLE]
        assert b.requests.count(READ_MULTIPLE) == 2


async def test_a_swapped_device_starts_afresh(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        Quirks("ahu-1", 1200, b.memory, time.time_ns).learn(BATCH, "3")
        await b.assign(["analog-input,1"])
        assert b.driver.link._sessions["ahu-1"].quirks.batch(50) == 50


def test_a_quirk_is_believed_for_a_week():
    now = [1_790_000_000 * 10**9]

    class Notes(NoMemory):
        notes: dict[str, str | None] = {}  # noqa: RUF012 - one memory in this test

        def recall(self, key):
            return self.notes.get(key)

        def learn(self, key, value):
            self.notes[key] = value

    quirks = Quirks("d", 7, Notes(), lambda: now[0])
    quirks.learn(BATCH, "12")
    assert quirks.batch(50) == 12
    assert quirks.batch(5) == 5
    now[0] += BELIEVED_FOR_S * 10**9
    assert quirks.batch(50) == 50


@pytest.mark.parametrize("entry", ["", "7", "7 x 3", "7 1790000000 many", "7 1790000000 0"])
def test_a_memory_that_makes_no_sense_is_ignored(entry):
    class Notes(NoMemory):
        def recall(self, key):
            return entry

    assert Quirks("d", 7, Notes(), lambda: 1_790_000_001 * 10**9).batch(50) == 50


def test_a_reference_is_remembered_as_text():
    for reference in (Reference(0, 3, 85), Reference(1, 3, 87, 8)):
        assert Reference.parse(str(reference)) == reference
    with pytest.raises(ValueError, match="no reference"):
        Reference.parse("1,2")


async def test_what_is_not_learned_is_not_written(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        await b.driver.poll(await b.assign(["analog-input,1"]))
        await asyncio.sleep(0.05)
        assert b.memory.notes == {}
