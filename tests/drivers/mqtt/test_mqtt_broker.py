"""Against a real mosquitto: acknowledged after the commit, back after a restart, calm in floods."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from drivers.base import Delivery, Device, FaultCode, Point, PollGroup, Quality
from drivers.mqtt import driver as mqtt
from drivers.mqtt.driver import MqttDriver, create
from drivers.mqtt.settings import DeviceSettings, LinkSettings, PointSettings

if TYPE_CHECKING:
    from tests.drivers.mqtt.conftest import Mosquitto

pytestmark = pytest.mark.servers

TEMPERATURE, CO2 = 1, 2


class Store:
    """Takes deliveries; commits at once unless told to keep them open."""

    def __init__(self, *, commits: bool = True) -> None:
        self.deliveries: list[Delivery] = []
        self._commits = commits

    async def deliver(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self._commits and delivery.committed is not None:
            delivery.committed()

    def values(self, series: int = TEMPERATURE) -> list[float]:
        batches = [delivery.batch for delivery in self.deliveries]
        return [float(v) for b in batches for v in b.value[(b.series == series) & ~np.isnan(b.value)]]

    def qualities(self, series: int = TEMPERATURE) -> list[int]:
        return [int(q) for d in self.deliveries for q in d.batch.quality[d.batch.series == series]]


def room(topic: str = "b/{device}/state", every_s: float = 10.0) -> Device:
    def point(series: int, name: str, path: str) -> Point:
        source = PointSettings.model_validate({"json": path})
        return Point(series, "room", name, source, "temperature", "degC", "degC")

    points = (point(TEMPERATURE, "temperature", "t"), point(CO2, "co2", "c"))
    return Device("room", DeviceSettings(topic=topic), (PollGroup("room", every_s, points),))


@asynccontextmanager
async def running(port: int, store: Store, *devices: Device, **settings: Any) -> AsyncIterator[MqttDriver]:
    link = LinkSettings.model_validate({"host": "127.0.0.1", "port": port, "client_id": "gw", **settings})
    made = create("broker", link, time.time_ns)
    await made.open(store.deliver)
    await made.assign(devices or [room()])
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def sender(port: int) -> AsyncIterator[Callable[..., None]]:
    """A function that publishes and waits until the broker has it."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()

    def publish(topic: str, payload: bytes | str, qos: int = 1, retain: bool = False) -> None:
        client.publish(topic, payload, qos, retain).wait_for_publish(5)

    try:
        yield publish
    finally:
        client.disconnect()
        client.loop_stop()


def flood(publish: Callable[..., None]) -> None:
    for _ in range(1000):
        publish("b/room/state", b'{"t": 21')


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


async def connected(driver: MqttDriver) -> None:
    """Wait until the subscription stands: a silent link with no fault."""
    await until(lambda: driver._fault is None)
    await asyncio.sleep(0.1)


async def test_json_message_becomes_one_delivery_of_its_device(mosquitto: Mosquitto) -> None:
    store = Store()
    async with running(mosquitto.port, store) as driver, sender(mosquitto.port) as publish:
        await connected(driver)
        publish("b/room/state", '{"t": 21.5, "c": 640}')
        await until(lambda: bool(store.deliveries))
    (delivery,) = store.deliveries
    assert delivery.device == "room"
    assert delivery.batch.series.tolist() == [TEMPERATURE, CO2]
    assert delivery.batch.value.tolist() == [21.5, 640.0]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_message_is_sent_again_until_it_is_committed(mosquitto: Mosquitto, version: str) -> None:
    forgetful, store, later = Store(commits=False), Store(), Store()
    async with sender(mosquitto.port) as publish:
        async with running(mosquitto.port, forgetful, version=version) as driver:
            await connected(driver)
            publish("b/room/state", '{"t": 19}')
            await until(lambda: forgetful.values() == [19.0])
        async with running(mosquitto.port, store, version=version):
            await until(lambda: store.values() == [19.0])
        async with running(mosquitto.port, later, version=version) as driver:
            await connected(driver)
            await asyncio.sleep(0.2)
    assert later.values() == []


async def test_what_was_sent_while_the_gateway_was_away_arrives(mosquitto: Mosquitto) -> None:
    store = Store()
    async with sender(mosquitto.port) as publish:
        async with running(mosquitto.port, Store()) as driver:
            await connected(driver)
        for t in (20, 21, 22):
            publish("b/room/state", f'{{"t": {t}}}')
        async with running(mosquitto.port, store):
            await until(lambda: store.values() == [20.0, 21.0, 22.0])


async def test_broker_restart_costs_nothing(mosquitto: Mosquitto) -> None:
    store = Store()
    async with running(mosquitto.port, store) as driver:
        await connected(driver)
        mosquitto.stop()
        await until(lambda: driver._fault is not None)
        mosquitto.start()
        await connected(driver)
        async with sender(mosquitto.port) as publish:
            publish("b/room/state", '{"t": 23}')
            await until(lambda: bool(store.values()))
    assert store.values() == [23.0]
    assert Quality.COMM_LOST not in store.qualities()


async def test_lost_broker_is_told_for_every_device(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "LOST_AFTER_S", 0.2)
    store = Store()
    async with running(mosquitto.port, store) as driver:
        await connected(driver)
        mosquitto.stop()
        await until(lambda: bool(store.deliveries))
    (delivery,) = store.deliveries
    assert delivery.fault is not None
    assert delivery.fault.code in (FaultCode.NO_ANSWER, FaultCode.REFUSED)
    assert delivery.batch.quality.tolist() == [Quality.COMM_LOST, Quality.COMM_LOST]


async def test_retained_message_is_held(mosquitto: Mosquitto) -> None:
    store = Store()
    async with sender(mosquitto.port) as publish:
        publish("b/room/state", '{"t": 18}', retain=True)
        async with running(mosquitto.port, store):
            await until(lambda: store.values() == [18.0])
    assert store.qualities() == [Quality.HELD]


async def test_flood_of_rubbish_is_bounded_and_good_topics_go_on(mosquitto: Mosquitto) -> None:
    store = Store()
    other = Device(
        "meter",
        DeviceSettings(topic="b/meter"),
        (PollGroup("meter", 10.0, (Point(9, "meter", "p", PointSettings(), "electric_power", "kW", "kW"),)),),
    )
    async with running(mosquitto.port, store, room(), other) as driver, sender(mosquitto.port) as publish:
        await connected(driver)
        await asyncio.to_thread(publish, "b/room/state", b"x" * 10_000_000)
        for number in range(10):
            await asyncio.to_thread(flood, publish)
            await asyncio.to_thread(publish, "b/meter", str(number))
        await until(lambda: driver.counts.malformed >= 10_000, 20)
        await until(lambda: len(store.values(9)) == 10)
        publish("b/room/state", '{"t": 22}')
        await until(lambda: store.values() == [22.0])
    assert driver.counts.oversize == 1
    assert driver.counts.malformed == 10_000
    assert store.values(9) == [float(n) for n in range(10)]
    assert len(store.qualities()) < 1000


async def test_assignment_changes_only_subscriptions_that_differ(mosquitto: Mosquitto) -> None:
    store = Store()
    async with running(mosquitto.port, store) as driver, sender(mosquitto.port) as publish:
        await connected(driver)
        session = driver._session
        assert session is not None
        await driver.assign([room("b/moved")])
        await asyncio.sleep(0.2)
        publish("b/room/state", '{"t": 1}')
        publish("b/moved", '{"t": 2}')
        await until(lambda: store.values() == [2.0])
        assert session._number == 1


async def test_poll_waits_for_a_fresh_value_and_shows_the_payload(mosquitto: Mosquitto) -> None:
    async with running(mosquitto.port, Store()) as driver, sender(mosquitto.port) as publish:
        await connected(driver)
        asked = asyncio.create_task(driver.poll(room().groups[0], trace=True))
        await asyncio.sleep(0.1)
        publish("b/room/state", '{"t": 21.5, "c": 600}')
        result = await asked
    assert result.fault is None
    assert result.batch.value.tolist() == [21.5, 600.0]
    assert result.raw[CO2] == '{"t": 21.5, "c": 600}'


async def test_poll_says_which_point_is_silent(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "POLL_WAIT_S", 0.6)
    async with running(mosquitto.port, Store()) as driver, sender(mosquitto.port) as publish:
        await connected(driver)
        publish("b/room/state", '{"t": 21.5}')
        result = await driver.poll(room().groups[0])
    assert result.fault is None
    assert result.point_faults[CO2].code is FaultCode.SILENT
    assert "b/room/state" in result.point_faults[CO2].detail
    assert result.batch.quality.tolist() == [Quality.GOOD, Quality.STALE]


async def test_poll_of_an_absent_broker_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "POLL_WAIT_S", 0.6)
    async with running(1, Store()) as driver:
        result = await driver.poll(room().groups[0])
    assert result.fault is not None
    assert result.fault.code is FaultCode.REFUSED
    assert "127.0.0.1:1" in result.fault.detail


async def test_version_5_widens_the_brokers_window(make_mosquitto: Callable[[str], Mosquitto]) -> None:
    """mosquitto has 20 messages under way to one client unless the client says that it takes more."""
    broker, store = make_mosquitto("allow_anonymous true\nmax_inflight_messages 20"), Store(commits=False)
    async with running(broker.port, store, version="5") as driver, sender(broker.port) as publish:
        await connected(driver)
        for t in range(200):
            await asyncio.to_thread(publish, "b/room/state", f'{{"t": {t}}}')
        await until(lambda: len(store.values()) == 200)


async def test_text_lines_and_binary_records_arrive_as_they_were_sent(mosquitto: Mosquitto) -> None:
    def made(name: str, *sources: dict[str, Any], first: int) -> Device:
        points = tuple(
            Point(first + n, name, f"p{n}", PointSettings.model_validate(keys), "temperature", "degC", "degC")
            for n, keys in enumerate(sources)
        )
        settings = DeviceSettings.model_validate({"topic": f"x/{name}", "separator": ";"})
        return Device(name, settings, (PollGroup(name, 10.0, points),))

    logger = made("logger", {"csv": 2, "timestamp": 1}, first=1)
    radio = made("radio", {"struct": ">Ih", "index": 1, "timestamp": 0}, first=2)
    store, at = Store(), int(time.time()) - 3600
    async with running(mosquitto.port, store, logger, radio) as driver, sender(mosquitto.port) as publish:
        await connected(driver)
        publish("x/logger", f"{at};21,5\n{at + 60};21,7\n")
        publish("x/radio", struct.pack(">Ih", at, -12))
        await until(lambda: store.values(1) == [21.5, 21.7] and store.values(2) == [-12.0])
    times = [t for delivery in store.deliveries for t in delivery.batch.time.tolist()]
    assert sorted(times) == [at * 10**9, at * 10**9, (at + 60) * 10**9]
