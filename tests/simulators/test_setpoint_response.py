"""Written setpoints move temperatures, as a building follows; what nobody wrote to stays a pure function."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from bacpypes3.app import Application
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import Null, ObjectIdentifier, Real

from drivers.bacnet.settings import PointSettings
from simulators.base import ServedPoint
from simulators.building import Building
from simulators.faults import FaultBoard
from simulators.faulty_bacnet import FaultyBacnet
from simulators.response import ZONE_TAU_S, Response

NOON = 1_790_841_600 * 10**9
HOUR = 3600 * 10**9


@pytest.fixture
def building() -> Building:
    return Building(7, NOON - 400 * 24 * HOUR)


def test_nothing_written_adds_nothing(building: Building) -> None:
    assert Response(building.value_at).shift("zone-1", "temp", NOON) == 0.0


def test_a_zone_follows_its_setpoint_with_its_time_constant() -> None:
    response = Response(lambda device, point, at: 21.0)
    response.write("zone-1", "setpoint", 24.0, NOON)
    tau = round(ZONE_TAU_S * 1e9)
    assert response.shift("zone-1", "temp", NOON) == 0.0
    assert response.shift("zone-1", "temp", NOON + tau) == pytest.approx(3.0 * (1 - 2.718281828**-1))
    assert response.shift("zone-1", "temp", NOON + 20 * tau) == pytest.approx(3.0)
    assert response.shift("zone-2", "temp", NOON + tau) == 0.0
    response.write("zone-1", "setpoint", None, NOON + 20 * tau)
    assert response.shift("zone-1", "temp", NOON + 40 * tau) == pytest.approx(0.0, abs=1e-6)


def test_supply_air_moves_all_zones_in_part() -> None:
    response = Response(lambda device, point, at: 18.0)
    response.write("ahu-1", "supply_temp_sp", 20.0, NOON)
    assert response.shift("ahu-1", "supply_temp", NOON + HOUR) == pytest.approx(2.0, abs=1e-3)
    assert response.shift("zone-3", "temp", NOON + 24 * HOUR) == pytest.approx(0.6, abs=1e-3)


def test_the_same_writes_give_the_same_temperatures_however_often_one_looks(building: Building) -> None:
    once, often = Response(building.value_at), Response(building.value_at)
    for response in (once, often):
        response.write("zone-1", "setpoint", 23.5, NOON)
    looked = [often.shift("zone-1", "temp", NOON + step * 10**9) for step in range(0, 8 * 3600, 97)]
    assert looked[-1] == pytest.approx(once.shift("zone-1", "temp", NOON + (8 * 3600 - 1) // 97 * 97 * 10**9))


async def test_a_bacnet_write_is_told_and_so_is_giving_it_back(tmp_path: Path) -> None:
    def free() -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    told: list[tuple[str, float | None]] = []
    place = PointSettings.model_validate({"object": "analog-value,1"})
    points = [ServedPoint("setpoint", place, lambda _: 21.0, "degC")]
    port = free()
    device = FaultyBacnet(
        FaultBoard(), "127.0.0.1", port, 5, "zone-1", points, lambda: NOON, lambda *what: told.append(what)
    )
    await device.start()
    client = Application.from_object_list(
        [
            DeviceObject(objectIdentifier=("device", 9), objectName="client", vendorIdentifier=999),
            NetworkPortObject(f"127.0.0.1:{free()}", objectIdentifier=("network-port", 1), objectName="port"),
        ]
    )
    there, what = Address(f"127.0.0.1:{port}"), ObjectIdentifier("analog-value,1")
    await client.write_property(there, what, "present-value", Real(23.0), priority=12)
    await asyncio.sleep(0.05)
    assert told == [("setpoint", 23.0)]
    await client.write_property(there, what, "present-value", Null(()), priority=12)
    await client.read_property(there, what, "present-value")
    await asyncio.sleep(0.05)
    client.close()
    await device.stop()
    assert told == [("setpoint", 23.0), ("setpoint", None)]
