"""The broker in the process and the sensors that send to it."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import orjson
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from simulators.building import Building
from simulators.demo import sensor_topics
from simulators.faults import FaultBoard
from simulators.mqtt import Broker, MissingBroker, SensorPublisher, Topic

NOON = 1_790_841_600 * 10**9


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_payload_is_json_with_the_digits_a_sensor_shows() -> None:
    topic = Topic("t", {"temperature": (lambda _: 21.3456, 1), "co2": (lambda _: 640.4, 0)})
    assert topic.payload(0) == b'{"temperature":21.3,"co2":640}'


def test_payload_of_the_empty_key_is_a_raw_number() -> None:
    assert Topic("t", {"": (lambda _: -3.14159, 2)}).payload(0) == b"-3.14"


def test_demo_sensors_send_what_the_site_agreed_on() -> None:
    payloads = {
        t.topic: orjson.loads(t.payload(NOON)) for t, _ in sensor_topics(Building(7, NOON), FaultBoard())
    }
    rooms = {f"building/{room}/state" for room in ("room-101", "room-102", "room-103", "lobby")}
    assert payloads.keys() == rooms | {"building/roof/outdoor_temperature"}
    assert all(payloads[r].keys() == {"temperature", "co2", "humidity", "occupancy"} for r in rooms)
    assert all(isinstance(payloads[r]["occupancy"], int) for r in rooms)
    assert isinstance(payloads["building/roof/outdoor_temperature"], float)


async def test_every_topic_is_published_and_goes_on_after_a_broker_restart() -> None:
    port = free_port()
    topics = [Topic("a", {"": (lambda at: at / 1e9, 3)}), Topic("b", {"": (lambda _: 1.0, 0)})]
    broker, sensors = Broker("127.0.0.1", port), SensorPublisher("127.0.0.1", port, topics, time.time_ns, 0.1)
    heard: list[str] = []
    listener = Client(CallbackAPIVersion.VERSION2)
    listener.on_connect = lambda client, *_: client.subscribe("#")
    listener.on_message = lambda _client, _data, message: heard.append(message.topic)
    listener.reconnect_delay_set(1, 1)
    await broker.start()
    listener.connect_async("127.0.0.1", port)
    listener.loop_start()
    await sensors.start()
    try:
        await _until(lambda: {"a", "b"} <= set(heard))
        await broker.stop()
        heard.clear()
        await broker.start()
        await _until(lambda: {"a", "b"} <= set(heard))
    finally:
        listener.disconnect()
        await asyncio.to_thread(listener.loop_stop)
        await sensors.stop()
        await broker.stop()


async def test_missing_amqtt_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(MissingBroker, match=r"heyzack-gateway\[demo\]"):
        await Broker("127.0.0.1", free_port()).start()


async def _until(condition: object) -> None:
    deadline = time.monotonic() + 8
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)
