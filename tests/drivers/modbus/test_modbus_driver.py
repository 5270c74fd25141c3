"""The driver against a simulated meter: what a poll brings when the field behaves and when it does not."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from drivers.base import Device, FaultCode, PollGroup, Quality
from drivers.modbus.settings import DeviceSettings, PointSettings
from simulators.modbus import Request
from tests.drivers.modbus.simulated_meter import MakeMeter, settings

PLACES = {
    "voltage": settings(register=0, type="f32"),
    "power": settings(register=2, type="i32", order="CDAB", scale=0.1),
    "energy": settings(register=4, type="u64", scale=0.01),
    "running": settings(register=0, table="coil"),
}
VALUES = {"voltage": 230.5, "power": -1234.5, "energy": 98765.43, "running": 1.0}


async def test_a_poll_brings_one_row_for_each_point(make_meter: MakeMeter) -> None:
    result = await (await make_meter(PLACES, VALUES)).poll()
    assert result.batch.value.tolist() == list(VALUES.values())
    assert result.batch.series.tolist() == [0, 1, 2, 3]
    assert not result.batch.quality.any()
    assert set(result.batch.time.tolist()) == {1_000}
    assert result.fault is None
    assert result.raw == {}


async def test_neighbouring_registers_cost_one_request(make_meter: MakeMeter) -> None:
    meter = await make_meter(PLACES, VALUES)
    assert await meter.requests_of_a_poll() == 2


async def test_a_traced_poll_shows_the_words_of_each_point(make_meter: MakeMeter) -> None:
    result = await (await make_meter(PLACES, VALUES)).poll(trace=True)
    assert result.raw == {0: "4366 8000", 1: "cfc7 ffff", 2: "0000 0000 0096 b43f", 3: "01"}


async def test_a_silent_unit_is_lost_as_a_whole(make_meter: MakeMeter) -> None:
    meter = await make_meter(PLACES, VALUES)
    meter.values["voltage"] = math.nan
    result = await meter.poll()
    assert result.fault is not None
    assert result.fault.code is FaultCode.NO_ANSWER
    assert result.batch.quality.tolist() == [Quality.COMM_LOST] * 4
    assert np.isnan(result.batch.value).all()


async def test_a_silent_unit_costs_one_timeout_a_poll_not_one_for_each_block(make_meter: MakeMeter) -> None:
    meter = await make_meter(PLACES, VALUES)
    meter.values["voltage"] = math.nan
    assert await meter.requests_of_a_poll() == 1


async def test_retries_ask_again_before_giving_up(make_meter: MakeMeter) -> None:
    meter = await make_meter(PLACES, VALUES, retries=2, timeout="50ms")
    meter.values["voltage"] = math.nan
    assert await meter.requests_of_a_poll() == 3


async def test_nobody_listening_is_a_refusal_not_an_exception(make_meter: MakeMeter) -> None:
    meter = await make_meter(PLACES, VALUES)
    await meter.server.stop()
    result = await meter.poll()
    assert result.fault is not None
    assert result.fault.code is FaultCode.REFUSED
    assert "Connection refused" in result.fault.detail


async def test_a_device_that_restarted_between_polls_loses_none(make_meter: MakeMeter) -> None:
    meter = await make_meter(PLACES, VALUES)
    for _ in range(10):
        assert (await meter.poll()).fault is None
        await meter.server.stop()
        await meter.server.start()


async def test_a_device_that_was_away_answers_within_two_polls(make_meter: MakeMeter) -> None:
    meter = await make_meter(PLACES, VALUES, reconnect_max="50ms")
    await meter.server.stop()
    assert (await meter.poll()).fault is not None
    await meter.server.start()
    polls = []
    for _ in range(2):
        await asyncio.sleep(0.08)
        polls.append(await meter.poll())
    assert polls[-1].fault is None


@pytest.mark.parametrize(
    ("exception", "code"), [(6, "busy"), (10, "busy"), (11, "busy"), (4, "device_error"), (1, "device_error")]
)
async def test_an_exception_answer_has_its_own_fault(
    make_meter: MakeMeter, exception: int, code: str
) -> None:
    meter = await make_meter(PLACES, VALUES)

    async def refuse(request: Request, _: bytes | None) -> bytes:
        frame = bytes([request.function | 0x80, exception])
        return request.transaction.to_bytes(2, "big") + b"\0\0\0\x03" + bytes([request.unit]) + frame

    meter.server.tamper = refuse
    result = await meter.poll()
    assert result.fault is not None
    assert result.fault.code == code
    assert f"Modbus exception {exception}" in result.fault.detail


async def test_a_sentinel_makes_its_point_bad_and_no_other(make_meter: MakeMeter) -> None:
    places = {
        "a": settings(register=0, not_available="auto"),
        "b": settings(register=1, not_available="auto"),
    }
    result = await (await make_meter(places, {"a": 0xFFFF, "b": 7})).poll()
    assert result.batch.quality.tolist() == [Quality.NOT_AVAILABLE, Quality.GOOD]
    assert result.fault is None


# --- registers the device does not have, and reads it does not accept


def words(*registers: int) -> dict[str, PointSettings]:
    return {f"r{register}": settings(register=register) for register in registers}


async def test_a_hole_is_learned_within_one_poll_and_the_good_points_survive(make_meter: MakeMeter) -> None:
    served = words(*(r for r in range(40) if r != 17))
    meter = await make_meter(
        served, {name: float(n) for n, name in enumerate(served)}, asked=words(*range(40))
    )
    result = await meter.poll()
    assert result.fault is None
    assert np.flatnonzero(result.batch.quality).tolist() == [17]
    assert result.point_faults.keys() == {17}
    assert result.point_faults[17].code is FaultCode.NO_SUCH_ADDRESS
    assert await meter.requests_of_a_poll() == 2, "one read on each side of the hole"


async def test_a_hole_keeps_its_reason_though_it_is_not_asked_again(make_meter: MakeMeter) -> None:
    meter = await make_meter(words(0), {"r0": 1.0}, asked=words(0, 1))
    await meter.poll()
    result = await meter.poll()
    assert result.batch.quality.tolist() == [Quality.GOOD, Quality.FAULT]
    assert result.point_faults[1].code is FaultCode.NO_SUCH_ADDRESS
    assert await meter.requests_of_a_poll() == 1


async def test_a_hole_is_asked_again_after_a_day(make_meter: MakeMeter) -> None:
    meter = await make_meter(words(0), {"r0": 1.0}, asked=words(0, 1))
    await meter.poll()
    meter.monotonic[0] = 86_399
    assert await meter.requests_of_a_poll() == 1
    meter.monotonic[0] = 86_401
    assert await meter.requests_of_a_poll() == 3, "both together, then each alone"


async def test_an_illegal_gap_between_good_points_is_no_longer_read_across(make_meter: MakeMeter) -> None:
    places = words(0, 1, 20, 21)
    meter = await make_meter(places, dict.fromkeys(places, 5.0))
    first = await meter.poll()
    assert not first.batch.quality.any()
    assert await meter.requests_of_a_poll() == 2


async def test_a_device_that_refuses_everything_teaches_nothing(make_meter: MakeMeter) -> None:
    """A meter that is starting up has no registers yet: they must not stay holes for a day."""
    meter = await make_meter(words(100), {"r100": 1.0}, asked=words(0, 1))
    result = await meter.poll()
    assert result.fault is not None
    assert result.fault.code is FaultCode.NO_SUCH_ADDRESS
    assert await meter.requests_of_a_poll() == 3


async def test_a_shorter_read_limit_is_found_and_remembered(make_meter: MakeMeter) -> None:
    places = words(*range(100))
    meter = await make_meter(places, dict.fromkeys(places, 5.0))

    async def short(request: Request, frame: bytes | None) -> bytes | None:
        if request.count <= 32 or frame is None:
            return frame
        return frame[:4] + b"\0\x03" + bytes([request.unit, request.function | 0x80, 3])

    meter.server.tamper = short
    result = await meter.poll()
    assert not result.batch.quality.any()
    assert await meter.requests_of_a_poll() == math.ceil(100 / 25)


async def test_a_device_may_state_its_limit(make_meter: MakeMeter) -> None:
    places = words(*range(40))
    meter = await make_meter(places, dict.fromkeys(places, 5.0), device=DeviceSettings(max_registers=16))
    assert await meter.requests_of_a_poll() == 3


# --- changes of the configuration


async def test_an_unchanged_device_keeps_its_connection_and_what_was_learned(make_meter: MakeMeter) -> None:
    meter = await make_meter(words(0, 20), {"r0": 1.0, "r20": 2.0})
    await meter.poll()
    device = Device("meter", DeviceSettings(), (meter.group,))
    await meter.driver.assign([device, replace(device, name="other")])
    assert await meter.requests_of_a_poll() == 2


async def test_a_device_that_left_is_no_longer_polled(make_meter: MakeMeter) -> None:
    meter = await make_meter(words(0), {"r0": 1.0})
    await meter.driver.assign([])
    with pytest.raises(KeyError, match="meter"):
        await meter.driver.poll(meter.group)


async def test_groups_of_one_device_have_plans_of_their_own(make_meter: MakeMeter) -> None:
    meter = await make_meter(words(0, 1), {"r0": 1.0, "r1": 2.0})
    fast = PollGroup("meter", 1.0, meter.group.points[:1])
    slow = PollGroup("meter", 60.0, meter.group.points[1:])
    await meter.driver.assign([Device("meter", DeviceSettings(), (fast, slow))])
    assert (await meter.driver.poll(fast)).batch.value.tolist() == [1.0]
    assert (await meter.driver.poll(slow)).batch.value.tolist() == [2.0]


async def test_a_pause_separates_requests(make_meter: MakeMeter) -> None:
    meter = await make_meter(PLACES, VALUES, pause="30ms")
    times: list[float] = []

    async def note(_: Request, frame: bytes | None) -> bytes | None:
        times.append(time.monotonic())
        return frame

    meter.server.tamper = note
    await meter.poll()
    assert all(later - earlier >= 0.03 for earlier, later in pairwise(times))


async def test_a_cancelled_poll_leaves_no_answer_for_the_next(make_meter: MakeMeter) -> None:
    meter = await make_meter(words(0, 1), {"r0": 1.0, "r1": 2.0})

    async def late(_: Request, frame: bytes | None) -> bytes | None:
        await asyncio.sleep(0.05)
        return frame

    meter.server.tamper = late
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(meter.poll(), 0.02)
    meter.values["r0"] = 5.0
    assert (await meter.poll()).batch.value.tolist() == [5.0, 2.0]
