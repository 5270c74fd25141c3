"""Home Assistant finds the gateway's figures by itself, and hears when the gateway is gone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from math import nan
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from drivers.base import Delivery, Figure
from drivers.mqtt.driver import MqttDriver, create
from drivers.mqtt.homeassistant import configuration, state
from drivers.mqtt.settings import LinkSettings

if TYPE_CHECKING:
    from tests.drivers.mqtt.conftest import Mosquitto

ENERGY = Figure("energy_use", "Energy use", 1234.5, "kWh", {"status": "on_track", "target": None})
PEAK = Figure("peak_demand", "Peak demand", 88.0, "kW")


class HomeAssistant:
    """What a subscriber of the discovery prefix knows: the retained messages, and how many came."""

    def __init__(self, port: int) -> None:
        self.known: dict[str, bytes] = {}
        self.messages = 0
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._note
        self.client.on_connect = lambda client, *_: client.subscribe(
            [("homeassistant/sensor/#", 1), ("heyzack/#", 1)]
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def start_anew(self) -> None:
        self.client.publish("homeassistant/status", "online", 1).wait_for_publish(5)

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _note(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        self.messages += 1
        self.known[message.topic] = message.payload


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


async def opened(port: int) -> MqttDriver:
    async def deliver(delivery: Delivery) -> None:
        return None

    keys = {"host": "127.0.0.1", "port": port, "client_id": "gw", "status_topic": "heyzack/status"}
    link = LinkSettings.model_validate({**keys, "home_assistant": {"site": "paris hq", "name": "Paris HQ"}})
    driver = create("broker", link, time.time_ns)
    await driver.open(deliver)
    await until(lambda: driver._fault is None)
    await asyncio.sleep(0.1)
    return driver


@pytest.mark.servers
async def test_figures_appear_change_and_are_taken_away(mosquitto: Mosquitto) -> None:
    driver, home = await opened(mosquitto.port), HomeAssistant(mosquitto.port)
    assert driver.publish([ENERGY, PEAK]) == 4
    config, value = "homeassistant/sensor/paris_hq/energy_use/config", "heyzack/paris_hq/kpi/energy_use"
    await until(lambda: len(home.known) == 5)
    told: dict[str, Any] = json.loads(home.known[config])
    assert told["state_topic"] == value
    assert told["availability_topic"] == "heyzack/status"
    assert json.loads(home.known[value]) == {"value": 1234.5, "status": "on_track", "target": None}
    assert driver.publish([ENERGY, PEAK]) == 0
    assert driver.publish([Figure("energy_use", "Energy use", 1240.0, "kWh")]) == 2
    await until(lambda: home.known["homeassistant/sensor/paris_hq/peak_demand/config"] == b"")
    assert json.loads(home.known[value]) == {"value": 1240.0}
    await driver.close()
    await until(lambda: home.known["heyzack/status"] == b"offline")
    home.end()


@pytest.mark.servers
async def test_everything_is_told_again_when_home_assistant_or_the_broker_starts(
    mosquitto: Mosquitto,
) -> None:
    driver, home = await opened(mosquitto.port), HomeAssistant(mosquitto.port)
    driver.publish([ENERGY])
    await until(lambda: len(home.known) == 3)
    home.messages = 0
    home.start_anew()
    await until(lambda: home.messages == 2)
    mosquitto.stop()
    await until(lambda: driver._fault is not None)
    assert driver.publish([ENERGY, PEAK]) == 0
    mosquitto.start()
    await until(lambda: "heyzack/paris_hq/kpi/peak_demand" in home.known, 10)
    await driver.close()
    home.end()


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("kWh", {"device_class": "energy", "state_class": "total", "unit_of_measurement": "kWh"}),
        ("kW", {"device_class": "power", "state_class": "measurement"}),
        ("degC", {"device_class": "temperature", "unit_of_measurement": "°C"}),
        ("%", {"state_class": "measurement", "unit_of_measurement": "%"}),
    ],
)
def test_class_and_unit_are_those_home_assistant_knows(unit: str, expected: dict[str, str]) -> None:
    body = json.loads(configuration(Figure("k", "K", 1.0, unit), "s", "S", "homeassistant", None).payload)
    assert {key: body.get(key) for key in expected} == expected
    assert "availability_topic" not in body


@pytest.mark.parametrize("value", [None, nan])
def test_figure_without_a_value_is_null(value: float | None) -> None:
    assert json.loads(state(Figure("k", "K", value, "%"), "s").payload) == {"value": None}
