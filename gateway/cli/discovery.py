"""Looking around with a driver's own means: which Modbus units answer, which MQTT topics are alive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from drivers.base import Delivery, Device, FaultCode, Point, PollGroup, Settings
from drivers.registry import KINDS

_ABSENT = frozenset({FaultCode.NO_ANSWER, FaultCode.BUSY, FaultCode.REFUSED, FaultCode.GARBLED})
"""Faults that say nobody is there: exceptions 10 and 11 are a gateway's word for that. Others are answers."""


@dataclass(frozen=True, slots=True)
class FoundUnit:
    """A unit that answered. register_0: what it said to reading holding register 0, or why it did not.

    says: maker, model and serial number by its own word (function 43/14, SunSpec), as far as it tells.
    """

    unit_id: int
    latency_ms: float
    register_0: str
    says: str = ""


async def modbus_units(
    driver: str, settings: Settings, unit_ids: Iterable[int], asked: Callable[[], None] = lambda: None
) -> list[FoundUnit]:
    """Ask each unit for one holding register, one after the other. Raises LinkError.

    asked: called after each, for a progress bar.

    Each has a link of its own, so that a silent unit's back-off is not held against the next.
    """
    from drivers.modbus.discovery import describe

    kind = KINDS[driver]
    source = kind.point_settings.model_validate({"register": 0})
    found = []
    for unit_id in unit_ids:
        point = Point(0, "scan", "register_0", source, "count", "1", "1")
        group = PollGroup("scan", 1.0, (point,))
        device = Device("scan", kind.device_settings.model_validate({"unit_id": unit_id}), (group,))
        link = kind.create("scan", settings, time.time_ns)
        await link.open(_ignore)
        try:
            await link.assign([device])
            result = await link.poll(group, trace=True)
        finally:
            await link.close()
            asked()
        fault = result.fault or result.point_faults.get(0)
        if fault is None or fault.code not in _ABSENT:
            said = result.raw.get(0, "") if fault is None else f"{fault.code} {fault.detail}".strip()
            own = await describe(settings, unit_id)
            found.append(FoundUnit(unit_id, round(result.latency_s * 1e3, 3), said, own.title))
    return found


MOST_PAYLOAD = 64 << 10
"""Bytes of a message that are kept: more is no reading of a sensor."""


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic that carried a message while we listened. payload: the newest, as text."""

    topic: str
    messages: int
    payload: str


def mqtt_topics(settings: Any, pattern: str, wait_s: float) -> list[FoundTopic]:
    """Listen to a broker for a while. settings: drivers.mqtt.settings.LinkSettings. Raises OSError."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    heard: dict[str, tuple[int, bytes]] = {}
    refused: list[str] = []
    lock = threading.Lock()

    def on_connect(client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            refused.append(str(reason))
        else:
            client.subscribe(pattern, qos=0)

    def on_message(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        with lock:
            count = heard.get(message.topic, (0, b""))[0]
            heard[message.topic] = (count + 1, bytes(message.payload[:MOST_PAYLOAD]))

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_connect, client.on_message = on_connect, on_message
    if settings.username:
        client.username_pw_set(settings.username, settings.password and settings.password.get_secret_value())
    if settings.tls:
        tls = settings.tls
        ca, cert, key = (str(path) if path else None for path in (tls.ca, tls.cert, tls.key))
        client.tls_set(ca, cert, key)
    host, port = settings.endpoint
    client.connect(host, port)
    client.loop_start()
    try:
        time.sleep(wait_s)
    finally:
        client.disconnect()
        client.loop_stop()
    if refused:
        raise OSError(f"the broker refused: {refused[0]}")
    return [
        FoundTopic(topic, count, payload.decode("utf-8", "replace"))
        for topic, (count, payload) in sorted(heard.items())
    ]


async def _ignore(delivery: Delivery) -> None:
    """A scan stores nothing."""
