"""The gateway as a device: its figures are objects that others read, subscribe to and cannot write."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import pytest
from bacpypes3.apdu import RejectPDU
from bacpypes3.primitivedata import Real
from pydantic import ValidationError

from drivers.bacnet.describe import describe
from drivers.bacnet.discovery import who_is
from drivers.bacnet.driver import create
from drivers.bacnet.settings import LinkSettings
from drivers.bacnet.units import OURS, bacnet_unit
from drivers.base import Figure


@asynccontextmanager
async def _gateway_and_stranger(free_port, **settings):
    ports = free_port(), free_port()
    gateway, stranger = (
        create("bms", LinkSettings(address="127.0.0.1/24", port=port, **more), time.time_ns)
        for port, more in zip(ports, (settings, {"device_instance": 3057}), strict=True)
    )
    for driver in (gateway, stranger):
        await driver.open(lambda _: None)
    try:
        yield gateway, stranger.link.stack.app, f"127.0.0.1:{ports[0]}"
    finally:
        await gateway.close()
        await stranger.close()


def figure(key, value, unit):
    return Figure(key, key, value, unit)


async def _told(app, address):
    (device,) = await who_is(app, timeout=0.2, address=address)
    return {o.name: o for o in (await describe(app, device)).objects}


async def test_published_figures_are_read_with_their_units(free_port):
    async with _gateway_and_stranger(free_port, publish=["energy_savings", "peak_demand"]) as (
        gateway, app, address,
    ):  # fmt: skip
        gateway.publish(
            [
                figure("energy_savings", 21.5, "%"),
                figure("peak_demand", 180.25, "kW"),
                figure("secret", 1.0, "1"),
            ]
        )
        told = await _told(app, address)
        assert {name: (o.object, o.value, o.unit) for name, o in told.items()} == {
            "energy_savings": ("analog-value,1", 21.5, "%"),
            "peak_demand": ("analog-value,2", 180.25, "kW"),
        }
        flags = await app.read_property(address, "analog-value,1", "status-flags")
        assert list(flags) == [0, 0, 0, 0]


@pytest.mark.parametrize("missing", [None, float("nan")])
async def test_a_figure_that_is_not_there_has_its_fault_flag(free_port, missing):
    async with _gateway_and_stranger(free_port, publish=["energy_savings"]) as (gateway, app, address):
        assert list(await app.read_property(address, "analog-value,1", "status-flags")) == [0, 1, 0, 0]
        gateway.publish([figure("energy_savings", 21.5, "%")])
        gateway.publish([figure("energy_savings", missing, "%")])
        assert list(await app.read_property(address, "analog-value,1", "status-flags")) == [0, 1, 0, 0]


async def test_nobody_writes_a_published_figure(free_port):
    async with _gateway_and_stranger(free_port, publish=["energy_savings"]) as (gateway, app, address):
        gateway.publish([figure("energy_savings", 21.5, "%")])
        with pytest.raises(RejectPDU):
            await app.write_property(address, "analog-value,1", "present-value", Real(99.0), priority=8)
        assert await app.read_property(address, "analog-value,1", "present-value") == 21.5


async def test_nothing_is_offered_that_is_not_listed(free_port):
    async with _gateway_and_stranger(free_port) as (gateway, app, address):
        gateway.publish([figure("energy_savings", 21.5, "%")])
        assert await _told(app, address) == {}


def test_publishing_on_a_closed_link_does_nothing(free_port):
    driver = create(
        "bms", LinkSettings(address="127.0.0.1/24", port=free_port(), publish=["x"]), time.time_ns
    )
    driver.publish([figure("x", 1.0, "1")])
    assert driver.link is None


def test_a_name_published_twice_is_refused():
    with pytest.raises(ValidationError, match="energy_savings: published twice"):
        LinkSettings(address="127.0.0.1/24", publish=["energy_savings", "energy_savings"])


@pytest.mark.parametrize("unit", ["kWh", "kW", "%", "m3", "h", "min", "degC", "1", "L/s", "m3/h"])
def test_our_units_go_out_as_they_would_come_in(unit):
    number = bacnet_unit(unit)
    assert (OURS[number].unit, OURS[number].factor) == (unit, 1.0)
