"""Looking around on a broker: shapes, senders that we know, and candidates of those that we do not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from ruamel.yaml import YAML

from drivers.mqtt.discovery import detect_preset, find_devices, listen
from drivers.mqtt.listening import HeardTopic, Shape, shape_of
from drivers.mqtt.presets import PRESETS
from drivers.mqtt.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.mqtt.sparkplug_codec import DOUBLE, Metric, encode_payload

if TYPE_CHECKING:
    from tests.drivers.mqtt.conftest import Mosquitto

CASES = Path(__file__).parents[2] / "testcases" / "mqtt"
METRIC = encode_payload([Metric("Power/Active", 7, datatype=DOUBLE, value=1.5)], 1_790_000_000_000, 1)


def topic(name: str, payload: bytes | str) -> HeardTopic:
    raw = payload.encode() if isinstance(payload, str) else payload
    return HeardTopic(name, shape_of(name, raw), raw, 1, False, None)


def golden(preset: str) -> Any:
    return YAML(typ="safe").load((CASES / preset / "messages.yaml").read_text())


@pytest.mark.parametrize(
    ("payload", "shape"),
    [
        (b'{"t": 1}', Shape.OBJECT), (b"[1, 2]", Shape.LIST), (b"21.5", Shape.NUMBER), (b"ON", Shape.WORD),
        (b"true", Shape.WORD), (b"2026-09-21;21,5;3", Shape.COLUMNS), (b"hello, world", Shape.WORD),
        (b"\x00\xff\x12", Shape.BINARY), (b"", Shape.EMPTY), (None, Shape.OVERSIZE),
    ],
)  # fmt: skip
def test_shape_of_a_payload(payload: bytes | None, shape: Shape) -> None:
    assert shape_of("t", payload) is shape


@given(st.text(max_size=20), st.binary(max_size=60))
def test_any_message_has_a_shape_and_candidates_that_can_be_configured(name: str, payload: bytes) -> None:
    for device in find_devices([topic(name, payload)]):
        for point in device.points:
            PointSettings.model_validate({k: v for k, v in point.keys.items() if k != "kind"})


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_sender_is_recognised_by_its_golden_messages(preset: str) -> None:
    case = golden(preset)
    (device,) = (
        d for d in find_devices([topic(m["topic"], m["payload"]) for m in case["messages"]])
        if d.keys.get("channel", 0) == case["device"].get("channel", 0)
        and "temperature:100" not in "".join(d.topics)
    )  # fmt: skip
    assert (device.preset, device.id) == (preset, case["device"]["id"])
    DeviceSettings.model_validate(device.keys)
    expected = {name for name in case["expected"] if not (preset == "shelly-gen2" and name == "temperature")}
    assert expected <= {point.name for point in device.points}
    assert all(point.known for point in device.points if point.name in PRESETS[preset].points)


@pytest.mark.parametrize(
    "name", ["zigbee2mqtt/bridge/state", "zigbee2mqtt/lamp/set", "building/room/state", "tele/x/STATE"]
)
def test_topic_of_no_sender_that_we_know(name: str) -> None:
    assert detect_preset(name) is None


def test_what_no_preset_knows_becomes_candidates_without_units() -> None:
    devices = find_devices(
        [topic("b/room/state", '{"t": 21.5, "probes": [{"x": 1}], "name": "r"}'), topic("log", "a;21,5")]
    )
    assert [(d.keys, [(p.name, p.keys) for p in d.points]) for d in devices] == [
        ({"topic": "b/room/state"}, [("t", {"json": "t"}), ("probes[0].x", {"json": "probes[0].x"})]),
        (
            {"topic": "log"},
            [
                ("column_1", {"csv": 1, "separator": ";"}),
                ("column_2", {"csv": 2, "separator": ";"}),
            ],
        ),
    ]


def test_sparkplug_device_has_its_named_metrics() -> None:
    (device,) = find_devices([topic("spBv1.0/plant/DBIRTH/edge/m1", METRIC)])
    assert device.keys == {"sparkplug": {"group": "plant", "node": "edge", "device": "m1"}}
    assert [(p.name, p.value) for p in device.points] == [("Power/Active", 1.5)]


@pytest.mark.servers
async def test_listening_tells_topics_shapes_and_how_often_they_come(mosquitto: Mosquitto) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    client.publish("old", "5", 1, retain=True).wait_for_publish(5)
    settings = LinkSettings(host="127.0.0.1", port=mosquitto.port)
    counts: list[int] = []
    asked = asyncio.create_task(listen(settings, "#", 1.5, counts.append))
    await asyncio.sleep(0.4)
    for number in range(3):
        client.publish("room", f'{{"t": {number}}}', 1)
        await asyncio.sleep(0.2)
    old, room = await asked
    client.disconnect()
    client.loop_stop()
    assert (old.topic, old.shape, old.retained, old.every_s) == ("old", Shape.NUMBER, True, None)
    assert (room.topic, room.shape, room.messages, room.payload) == ("room", Shape.OBJECT, 3, b'{"t": 2}')
    assert room.every_s == pytest.approx(0.2, abs=0.1)
    assert counts[-1] == 2


async def test_absent_broker_is_an_error_that_says_where() -> None:
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
        await listen(LinkSettings(host="127.0.0.1", port=1), "#", 0.5)
