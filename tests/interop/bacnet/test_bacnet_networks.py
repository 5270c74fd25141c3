"""Broadcasts on port 47808, a BBMD and a foreign device, each host with its own network stack."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from bacpypes3.app import Application
from bacpypes3.basetypes import BDTEntry, HostNPort
from bacpypes3.ipv4.bvll import DistributeBroadcastToNetwork, Result
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject

from drivers.bacnet.discovery import scan
from drivers.bacnet.driver import create
from drivers.bacnet.foreign import Registration
from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.base import Device, Point, PollGroup
from simulators.bacnet import BacnetDevice
from simulators.base import ServedPoint

PORT = 47808


@asynccontextmanager
async def _controller(building, host, address, instance, value):
    served = [ServedPoint("temp", PointSettings(object="analog-input,1"), lambda _: value, "degC")]
    device = BacnetDevice(f"{address}/24", PORT, instance, host, served, time.time_ns)
    with building.inside(host):
        await device.start()
    try:
        yield device
    finally:
        await device.stop()


@asynccontextmanager
async def _bbmd(building):
    """A BBMD that passes broadcasts on to foreign devices; yields its link layer."""
    port = NetworkPortObject(
        "10.77.2.2/24", objectIdentifier=("network-port", 1), objectName="port", bacnetIPMode="bbmd"
    )
    port.bbmdAcceptFDRegistrations = True
    port.bbmdForeignDeviceTable = []
    port.bbmdBroadcastDistributionTable = [
        BDTEntry(bbmdAddress=HostNPort("10.77.2.2:47808"), broadcastMask=b"\xff\xff\xff\xff")
    ]
    device = DeviceObject(objectIdentifier=("device", 9000), objectName="bbmd")
    with building.inside("bbmd"):
        app = Application.from_object_list([device, port])
        (link,) = app.link_layers.values()
        while not link.server.local_transport or not link.server.broadcast_transport:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    _refuse_strangers(link)
    try:
        yield link
    finally:
        link._fdt_clock_handle.cancel()
        app.close()
        await asyncio.sleep(0.02)


def _refuse_strangers(link):
    """Broadcasts of who is not registered are refused (J.4.5), which bacpypes3's BBMD leaves out."""
    stock = link.confirmation

    async def confirmation(lpdu):
        known = {entry.fdAddress for entry in link.bbmdFDT}
        if isinstance(lpdu, DistributeBroadcastToNetwork) and lpdu.pduSource not in known:
            await link.request(Result(code=0x0060, destination=lpdu.pduSource))
        else:
            await stock(lpdu)

    link.confirmation = confirmation


@asynccontextmanager
async def _gateway(building, instances, ttl="10s"):
    """A driver on the other subnet, registered with the BBMD, with these devices by number only."""
    settings = LinkSettings.model_validate(
        {
            "address": "10.77.1.2/24",
            "bbmd": {"address": "10.77.2.2", "ttl": ttl},
            "apdu_timeout": 0.3,
            "retries": 0,
            "who_is_timeout": 0.4,
        }
    )
    driver = create("bms", settings, time.time_ns)
    with building.inside("gateway"):
        await driver.open(lambda _: asyncio.sleep(0))
    groups = []
    for series, instance in enumerate(instances):
        source = PointSettings(object="analog-input,1")
        point = Point(series, f"d{instance}", "temp", source, "temperature", "degC", "degC")
        groups.append(PollGroup(f"d{instance}", 1.0, (point,)))
    await driver.assign(
        [
            Device(group.device, DeviceSettings(device_instance=instance), (group,))
            for group, instance in zip(groups, instances, strict=True)
        ]
    )
    try:
        yield driver, groups
    finally:
        await driver.close()


async def _until_good(driver, group, within_s):
    async with asyncio.timeout(within_s):
        while True:
            result = await driver.poll(group)
            if result.fault is None:
                return result
            await asyncio.sleep(0.2)


async def test_a_broadcast_who_is_finds_every_controller_of_the_subnet(building):
    settings = LinkSettings(address="10.77.2.5/24", who_is_timeout=0.3)
    async with (
        _controller(building, "ahu", "10.77.2.3", 1201, 20.0),
        _controller(building, "zone", "10.77.2.4", 1301, 21.0),
    ):
        with building.inside("spare"):
            found = await scan(settings, timeout=0.5)
            ranged = await scan(settings, 1300, 1400, timeout=0.5)
    assert [(device.instance, device.address) for device in found] == [
        (1201, "10.77.2.3"),
        (1301, "10.77.2.4"),
    ]
    assert [device.instance for device in ranged] == [1301]


async def test_a_foreign_device_finds_and_reads_controllers_behind_the_bbmd(building):
    async with (
        _bbmd(building) as bbmd,
        _controller(building, "ahu", "10.77.2.3", 1201, 20.0),
        _controller(building, "zone", "10.77.2.4", 1301, 21.0),
        _gateway(building, [1201, 1301]) as (driver, groups),
    ):
        values = [(await _until_good(driver, group, 5)).batch.value.tolist() for group in groups]
        assert values == [[20.0], [21.0]]
        assert driver.link.stack.registration.stands
        assert [str(entry.fdAddress) for entry in bbmd.bbmdFDT] == ["10.77.1.2"]
    assert bbmd.bbmdFDT == []  # it said good-bye


async def test_a_forgotten_registration_is_made_anew_and_data_are_fresh_again(building):
    async with _bbmd(building) as bbmd, _gateway(building, [1201], ttl="300s") as (driver, (group,)):
        async with _controller(building, "ahu", "10.77.2.3", 1201, 20.0):
            await _until_good(driver, group, 5)
        assert await _back_at_another_address(building, driver, group, bbmd, 12) == [25.0]


@pytest.mark.slow
async def test_without_the_watch_a_forgotten_registration_stays_forgotten(building, monkeypatch):
    """What the test above would see without the handling."""
    monkeypatch.setattr(Registration, "start", lambda self: None)
    monkeypatch.setattr(Registration, "doubt", lambda self: None)
    async with _bbmd(building) as bbmd, _gateway(building, [1201], ttl="10s") as (driver, (group,)):
        async with _controller(building, "ahu", "10.77.2.3", 1201, 20.0):
            await _until_good(driver, group, 5)
        with pytest.raises(TimeoutError):
            await _back_at_another_address(building, driver, group, bbmd, 14)


async def _back_at_another_address(building, driver, group, bbmd, within_s):
    """The BBMD has lost its table, as a restart does, and the controller returns elsewhere."""
    bbmd.bbmdFDT.clear()
    async with _controller(building, "zone", "10.77.2.4", 1201, 25.0):
        return (await _until_good(driver, group, within_s)).batch.value.tolist()
