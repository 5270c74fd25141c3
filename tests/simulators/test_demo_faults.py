"""The demo's whole outside world: every fault that a device can have can be set on it, and taken back."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest

from simulators.building import Building
from simulators.demo import serve
from simulators.faults import APPLIES, FaultKind, SimulatedFault
from tests.simulators.test_demo_wire import RETROFIT, free_ports

SMALL = {FaultKind.MALFORMED_FLOOD: 50.0, FaultKind.OVERSIZE: 1000.0}


# amqtt leaves a socket open when a client goes in the middle of its CONNECT, as one does while the broker
# reboots; the collection at the end of the test keeps that out of the tests that follow.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("device", ["main-meter", "zone-1", "room-101", "mqtt", "cloud"])
async def test_every_fault_a_device_can_have_can_be_set_and_taken_back(device: str, tmp_path: Path) -> None:
    async with serve(Building(7, RETROFIT), free_ports(), tmp_path, time.time_ns) as outside:
        target = outside.board.targets()[device]
        for kind in sorted(APPLIES[target["protocol"]]):
            point = target["points"][0] if kind is FaultKind.UNKNOWN_OBJECT else ""
            await outside.board.set(device, SimulatedFault(kind, point=point, value=SMALL.get(kind)))
            await outside.board.clear()
            assert not outside.board.active()
    del outside, target
    gc.collect()
