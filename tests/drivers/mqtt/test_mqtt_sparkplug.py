"""Sparkplug B: a simulated edge node is born, sends by alias, loses a message, dies."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from math import isnan
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from drivers.base import Delivery, Device, FaultCode, Point, PollGroup, Quality
from drivers.mqtt.codec import Field, Rows
from drivers.mqtt.driver import MqttDriver, create
from drivers.mqtt.protobuf import bytes_field, fields, varint_field
from drivers.mqtt.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.mqtt.sparkplug import Host, Member
from drivers.mqtt.sparkplug_codec import BOOLEAN, DOUBLE, STRING, Metric, decode_payload, encode_payload

if TYPE_CHECKING:
    from tests.drivers.mqtt.conftest import Mosquitto

NOW = 1_790_000_000 * 10**9
NOW_MS = NOW // 10**6
POWER, STATE, LOAD = 1, 2, 3


def point(series: int, device: str, name: str, **keys: object) -> Point:
    return Point(series, device, name, PointSettings.model_validate(keys), "electric_power", "kW", "kW")


def place(**keys: str) -> DeviceSettings:
    return DeviceSettings.model_validate({"sparkplug": {"group": "plant", "node": "edge", **keys}})


METER = Device(
    "meter",
    place(device="m1"),
    (
        PollGroup(
            "meter",
            10.0,
            (point(POWER, "meter", "power", metric="Power/Active"), point(STATE, "meter", "Running")),
        ),
    ),
)
NODE = Device("node", place(), (PollGroup("node", 10.0, (point(LOAD, "node", "cpu", metric="CPU"),)),))


class EdgeNode:
    """A node with one device, as specified: numbered messages, aliases, a death as Last Will."""

    def __init__(self, port: int, bd_seq: int = 0) -> None:
        self.wishes: list[Metric] = []
        self._seq = 0
        self._bd = Metric("bdSeq", datatype=4, value=float(bd_seq))
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.will_set("spBv1.0/plant/NDEATH/edge", encode_payload([self._bd], self._ms()), 1)
        self.client.on_message = self._commanded
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("spBv1.0/plant/NCMD/edge", 1)
        self.client.loop_start()

    def bear(self) -> None:
        self._seq = 0
        self._send("NBIRTH/edge", self._bd, Metric("CPU", 1, datatype=DOUBLE, value=12.0))
        names = (
            Metric("Power/Active", 7, datatype=DOUBLE, value=1.5),
            Metric("Running", 8, datatype=BOOLEAN, value=1),
        )
        self._send("DBIRTH/edge/m1", *names)

    def data(self, value: float, *, at_ms: int | None = None) -> None:
        self._send("DDATA/edge/m1", Metric(alias=7, datatype=DOUBLE, value=value, time_ms=at_ms))

    def device_dies(self) -> None:
        self._send("DDEATH/edge/m1")

    def skip(self) -> None:
        """Lose a message."""
        self._seq += 1

    def _send(self, kind: str, *metrics: Metric) -> None:
        data = encode_payload(metrics, self._ms(), self._seq % 256)
        self._seq += 1
        self.client.publish(f"spBv1.0/plant/{kind}", data).wait_for_publish(5)

    def _commanded(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        self.wishes += decode_payload(message.payload).metrics

    @staticmethod
    def _ms() -> int:
        return time.time_ns() // 10**6


def kill(client: Client) -> None:
    connection = client.socket()
    assert isinstance(connection, socket.socket)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.loop_stop()
    connection.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


async def opened(port: int, into: list[Delivery]) -> MqttDriver:
    async def deliver(delivery: Delivery) -> None:
        into.append(delivery)
        if delivery.committed is not None:
            delivery.committed()

    link = LinkSettings.model_validate({"host": "127.0.0.1", "port": port, "client_id": "gw"})
    driver = create("broker", link, time.time_ns)
    await driver.open(deliver)
    await driver.assign([METER, NODE])
    await until(lambda: driver._fault is None)
    await asyncio.sleep(0.1)
    return driver


def values(deliveries: list[Delivery], series: int) -> list[float]:
    return [float(v) for d in deliveries for v in d.batch.value[d.batch.series == series] if not isnan(v)]


@pytest.mark.servers
async def test_node_born_before_us_is_asked_for_its_births_and_then_understood(mosquitto: Mosquitto) -> None:
    got: list[Delivery] = []
    edge = EdgeNode(mosquitto.port)
    edge.bear()
    await asyncio.sleep(0.3)
    driver = await opened(mosquitto.port, got)
    await until(lambda: bool(edge.wishes))
    (wish,) = edge.wishes
    assert (wish.name, wish.datatype, wish.value) == ("Node Control/Rebirth", BOOLEAN, 1.0)
    got.clear()
    edge.bear()
    edge.data(2.5, at_ms=time.time_ns() // 10**6 - 60_000)
    await until(lambda: values(got, POWER) == [1.5, 2.5])
    assert values(got, STATE) == [1.0]
    assert values(got, LOAD) == [12.0]
    moments = [int(t) for d in got for t in d.batch.time[d.batch.series == POWER]]
    assert moments[1] - moments[0] < -50 * 10**9
    kill(edge.client)
    await driver.close()


@pytest.mark.servers
async def test_lost_message_makes_us_ask_for_a_rebirth(mosquitto: Mosquitto) -> None:
    got: list[Delivery] = []
    driver = await opened(mosquitto.port, got)
    edge = EdgeNode(mosquitto.port)
    await asyncio.sleep(0.1)
    edge.bear()
    edge.data(2.0)
    await until(lambda: values(got, POWER) == [1.5, 2.0])
    edge.wishes.clear()
    edge.skip()
    edge.data(3.0)
    await until(lambda: [wish.name for wish in edge.wishes] == ["Node Control/Rebirth"])
    assert values(got, POWER) == [1.5, 2.0, 3.0]
    kill(edge.client)
    await driver.close()


@pytest.mark.servers
async def test_death_of_a_device_and_of_its_node_are_told_at_once(mosquitto: Mosquitto) -> None:
    got: list[Delivery] = []
    driver = await opened(mosquitto.port, got)
    edge = EdgeNode(mosquitto.port)
    edge.bear()
    edge.device_dies()
    await until(lambda: any(d.fault is not None for d in got))
    (gone,) = (d for d in got if d.fault is not None)
    assert gone.device == "meter"
    assert gone.batch.quality.tolist() == [Quality.COMM_LOST] * 2
    got.clear()
    kill(edge.client)
    await until(lambda: len(got) == 2)
    assert {d.device for d in got} == {"meter", "node"}
    assert all(d.fault is not None and d.fault.code is FaultCode.NO_ANSWER for d in got)
    assert all("NDEATH" in d.fault.detail for d in got if d.fault is not None)
    await driver.close()


def host() -> Host:
    members = {("g", "n", "d"): [Member("dev", {"P": Field(0, None, {}, None)})]}
    return Host(members)


def hear(made: Host, kind: str, *metrics: Metric, seq: int | None, now: int = NOW) -> tuple[Rows, object]:
    columns: dict[str, Rows] = {}
    heard = made.hear(f"spBv1.0/g/{kind}", encode_payload(metrics, NOW_MS, seq), now, columns)
    return columns.get("dev", Rows()), heard.rebirth


def test_alias_before_any_birth_is_no_value_and_asks_for_one() -> None:
    rows, asked = hear(host(), "DDATA/n/d", Metric(alias=7, datatype=DOUBLE, value=1.0), seq=5)
    assert (rows.row, asked) == ([], ("g", "n"))


def test_rebirth_is_asked_for_once_in_ten_seconds() -> None:
    made, metric = host(), Metric(alias=7, datatype=DOUBLE, value=1.0)
    asked = [hear(made, "DDATA/n/d", metric, seq=5, now=NOW + s * 10**9)[1] for s in (0, 1, 9, 10, 11)]
    assert asked == [("g", "n"), None, None, ("g", "n"), None]


def test_count_wraps_at_256() -> None:
    made = host()
    hear(made, "NBIRTH/n", seq=0)
    for number in range(1, 600):
        assert hear(made, "NDATA/n", seq=number % 256)[1] is None


def test_late_last_will_of_an_earlier_connection_ends_nothing() -> None:
    made, bd = host(), Metric("bdSeq", datatype=4, value=4.0)
    hear(made, "NBIRTH/n", bd, seq=0)
    old = encode_payload([Metric("bdSeq", datatype=4, value=3.0)], NOW_MS)
    assert made.hear("spBv1.0/g/NDEATH/n", old, NOW, {}).lost == []
    own = encode_payload([bd], NOW_MS)
    assert [device for device, _ in made.hear("spBv1.0/g/NDEATH/n", own, NOW, {}).lost] == ["dev"]


def test_null_text_and_a_time_from_the_future_are_flagged() -> None:
    made = host()
    hear(made, "NBIRTH/n", seq=0)
    late = Metric("P", datatype=DOUBLE, value=1.0, time_ms=NOW_MS + 3_600_000)
    wrong = [Metric("P"), Metric("P", datatype=STRING, value="warm"), late]
    qualities = [hear(made, "DDATA/n/d", metric, seq=n)[0].quality for n, metric in enumerate(wrong, 1)]
    assert qualities == [[Quality.NOT_AVAILABLE], [Quality.BAD_VALUE], [Quality.CLOCK_SUSPECT]]


def test_garbage_is_a_bad_value_with_a_reason() -> None:
    columns: dict[str, Rows] = {}
    heard = host().hear("spBv1.0/g/DDATA/n/d", b"\xff\xff\xff", NOW, columns)
    assert heard.malformed
    assert "no Sparkplug B payload" in columns["dev"].reasons[0]


@pytest.mark.parametrize("wire", [0xFFFFFFFE, 0xFFFE])
def test_negative_small_integer_is_read_in_either_width(wire: int) -> None:
    """Some senders write an Int16 of -2 in its own 16 bits, others in 32."""
    metric = bytes_field(1, b"P") + varint_field(4, 2) + varint_field(10, wire)
    (found,) = decode_payload(bytes_field(2, metric)).metrics
    assert found.value == -2.0


NUMBER = st.tuples(st.just(DOUBLE), st.floats(allow_nan=False)) | st.tuples(
    st.just(3), st.integers(-(2**31), 2**31 - 1).map(float)
)


@given(
    st.lists(st.tuples(st.text(max_size=9), st.integers(0, 2**40), NUMBER), max_size=5), st.integers(0, 255)
)
def test_what_a_node_encodes_is_what_we_read(
    made: list[tuple[str, int, tuple[int, float]]], seq: int
) -> None:
    metrics = tuple(Metric(name, alias, NOW_MS, kind, value) for name, alias, (kind, value) in made)
    read = decode_payload(encode_payload(metrics, NOW_MS, seq))
    assert (read.metrics, read.seq, read.time_ms) == (metrics, seq, NOW_MS)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_payload_or_a_value_error(data: bytes) -> None:
    try:
        list(fields(data))
        decode_payload(data)
    except ValueError:
        pass
