"""Availability: a device that says it is gone is gone at once; and others see us come and go."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError

from drivers.base import Delivery, Device, FaultCode, LinkError, Point, PollGroup, Quality
from drivers.mqtt.driver import MqttDriver, create
from drivers.mqtt.presence import Presence, Watch
from drivers.mqtt.settings import AvailabilitySettings, DeviceSettings, LinkSettings, PointSettings

if TYPE_CHECKING:
    from tests.drivers.mqtt.conftest import Mosquitto

DEVICE = Device(
    "plug",
    DeviceSettings.model_validate({"topic": "plug/power", "availability": {"topic": "plug/lwt"}}),
    (PollGroup("plug", 10.0, (Point(1, "plug", "p", PointSettings(), "electric_power", "kW", "kW"),)),),
)


def other(port: int, will: str | None = None) -> Client:
    client = Client(CallbackAPIVersion.VERSION2)
    if will is not None:
        client.will_set(will, "offline", 1, retain=True)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def kill(client: Client) -> None:
    """End a client as a power cut does: with no word to the broker."""
    connection = client.socket()
    assert isinstance(connection, socket.socket)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.loop_stop()
    connection.close()


def leave(client: Client) -> None:
    client.disconnect()
    client.loop_stop()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


async def opened(port: int, into: list[Delivery], **settings: object) -> MqttDriver:
    async def deliver(delivery: Delivery) -> None:
        into.append(delivery)
        if delivery.committed is not None:
            delivery.committed()

    keys = {"host": "127.0.0.1", "port": port, "client_id": "gw", **settings}
    driver = create("broker", LinkSettings.model_validate(keys), time.time_ns)
    await driver.open(deliver)
    await driver.assign([DEVICE])
    await until(lambda: driver._fault is None)
    await asyncio.sleep(0.1)
    return driver


@pytest.mark.servers
async def test_last_will_of_a_device_makes_it_lost_at_once(mosquitto: Mosquitto) -> None:
    got: list[Delivery] = []
    driver = await opened(mosquitto.port, got)
    plug = other(mosquitto.port, will="plug/lwt")
    plug.publish("plug/power", "1.5", 1).wait_for_publish(5)
    await until(lambda: len(got) == 1)
    kill(plug)
    began = time.monotonic()
    await until(lambda: got[-1].fault is not None)
    assert time.monotonic() - began < 1.0
    gone = got[-1]
    assert gone.fault is not None
    assert gone.fault.code is FaultCode.NO_ANSWER
    assert gone.fault.detail == "the device is offline: plug/lwt says 'offline'"
    assert gone.batch.quality.tolist() == [Quality.COMM_LOST]
    back = other(mosquitto.port)
    back.publish("plug/lwt", "online", 1, retain=True).wait_for_publish(5)
    await until(lambda: len(got) == 3)
    assert (got[-1].fault, len(got[-1].batch)) == (None, 0)
    leave(back)
    await driver.close()


@pytest.mark.servers
async def test_retained_value_does_not_revive_a_device_that_is_gone(mosquitto: Mosquitto) -> None:
    plug = other(mosquitto.port)
    plug.publish("plug/lwt", "offline", 1, retain=True).wait_for_publish(5)
    plug.publish("plug/power", "1.5", 1, retain=True).wait_for_publish(5)
    got: list[Delivery] = []
    driver = await opened(mosquitto.port, got)
    await until(lambda: bool(got))
    await asyncio.sleep(0.2)
    assert got[-1].fault is not None
    plug.publish("plug/power", "2.5", 1).wait_for_publish(5)
    await until(lambda: got[-1].fault is None)
    assert got[-1].batch.value.tolist() == [2.5]
    leave(plug)
    await driver.close()


@pytest.mark.servers
async def test_others_see_the_gateway_come_leave_and_die(mosquitto: Mosquitto) -> None:
    seen: list[str] = []
    watcher = other(mosquitto.port)
    watcher.on_message = lambda _client, _data, message: seen.append(message.payload.decode())
    watcher.subscribe("heyzack/status", 1)
    driver = await opened(mosquitto.port, [], status_topic="heyzack/status")
    await until(lambda: seen == ["online"])
    await driver.close()
    await until(lambda: seen == ["online", "offline"])
    driver = await opened(mosquitto.port, [], status_topic="heyzack/status")
    await until(lambda: seen[2:] == ["online"])
    session = driver._session
    assert session is not None
    kill(session._client)
    await until(lambda: seen[3:] == ["offline"])
    await driver.close()
    leave(watcher)


@pytest.mark.parametrize(
    ("payload", "gone"),
    [(b"offline", True), (b'"Offline"', True), (b'{"state": "OFFLINE"}', True), (b"online", False)],
)
def test_the_word_is_understood_in_json_and_bare_in_any_letters(payload: bytes, gone: bool) -> None:
    presence = Presence({"t": [Watch("d", "online", "offline", ("state",))]})
    ((device, fault),) = presence.hear("t", payload)
    assert (device, fault is not None) == ("d", gone)


def test_only_news_is_told() -> None:
    presence = Presence({"t": [Watch("d", "true", "false")]})
    assert [len(presence.hear("t", word)) for word in (b"false", b"false", b"sleeping", b"true")] == [
        1,
        0,
        0,
        1,
    ]
    presence.hear("t", b"false")
    presence.alive("d")
    assert presence.hear("t", b"false")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"topic": "a/+/b"}, "write the whole topic"),
        ({"topic": "a", "online": "up", "offline": "UP"}, "write what differs"),
        ({"topic": "a", "json": ""}, "empty"),
    ],
)
def test_wrong_availability_is_told(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        AvailabilitySettings.model_validate(keys)


def test_availability_reads_words_as_yaml_gives_them() -> None:
    told = AvailabilitySettings.model_validate({"topic": "a", "online": True, "offline": False})
    assert (told.online, told.offline) == ("true", "false")


def test_status_topic_is_plain() -> None:
    with pytest.raises(ValidationError, match="plain topic"):
        LinkSettings.model_validate({"host": "b", "status_topic": "a/#"})


async def test_opening_twice_is_told(mosquitto: Mosquitto) -> None:
    driver = await opened(mosquitto.port, [])
    with pytest.raises(LinkError, match="open already"):
        await driver.open(lambda _: asyncio.sleep(0))
    await driver.close()
