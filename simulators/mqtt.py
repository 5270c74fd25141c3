"""MQTT without a server: a broker inside the process, and sensors that publish to it."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from drivers.base import Now
from simulators.base import ValueAt

STOP_S = 3.0
"""How long a stopping broker is waited for."""
CONNECT_S = 2.0
"""How long the sensors' start waits for their broker."""


class MissingBroker(Exception):  # noqa: N818 - reads as what it is at the raise
    """amqtt is not installed; the message says how to install it."""


class Broker:
    """amqtt on `host`:`port`, open to anybody who reaches it: for loopback and demonstrations.

    It forgets sessions and retained messages when it stops, and keeps no promise beyond that.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._broker: Any = None

    async def start(self) -> None:
        """Listen. Raises MissingBroker without the extra `demo`, OSError when the port is taken."""
        try:
            from amqtt.broker import Broker as Amqtt
            from amqtt.errors import BrokerError
        except ImportError as error:
            raise MissingBroker(
                "the demo's MQTT broker needs amqtt: pip install 'heyzack-gateway[demo]'"
            ) from error
        # Every client that leaves is a warning to amqtt.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._broker = Amqtt(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        try:
            await self._broker.start()
        except BrokerError as error:
            self._broker = None
            raise OSError(f"cannot listen on {self.host}:{self.port}: {error}") from error

    async def stop(self) -> None:
        """Drop every client and stop listening.

        amqtt waits for ever for a client that left in the middle of its CONNECT; we do not.
        """
        broker, self._broker = self._broker, None
        if broker is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await broker.shutdown()


@dataclass(frozen=True, slots=True)
class Topic:
    """What one sensor sends. values: by JSON key, with the digits it shows; the key '' is a raw number.

    device: its name, for who wants to give it faults.
    """

    topic: str
    values: Mapping[str, tuple[ValueAt, int]]
    device: str = ""

    def payload(self, at_ns: int) -> bytes:
        """The message of that time; a value that is not a number is null."""
        shown = {key: _rounded(value_at(at_ns), digits) for key, (value_at, digits) in self.values.items()}
        return orjson.dumps(shown.get("", shown))


Tamper = Callable[[Topic, bytes], Awaitable[bytes | None]]
"""A fault to inject: given a sensor and its message, what it sends instead; None for nothing. It may sleep:
that delays the sensors after it as well, as one radio does."""


class SensorPublisher:
    """Publishes every topic's state at QoS 1, every `every_s` seconds, in turn over that time."""

    def __init__(
        self, host: str, port: int, topics: Sequence[Topic], now: Now, every_s: float = 10.0
    ) -> None:
        self.tamper: Tamper | None = None
        self._topics = topics
        self._now = now
        self._every_s = every_s
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="heyzack-sensors")
        self._client.suppress_exceptions = True
        self._client.max_queued_messages_set(1000)
        self._client.reconnect_delay_set(1, 5)
        self._client.connect_async(host, port)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send; a broker that is absent is tried again.

        Waits a moment for the connection: whoever stops us next should not find us half connected.
        """
        connected = threading.Event()
        self._client.on_connect = lambda *_: connected.set()
        self._client.loop_start()
        await asyncio.to_thread(connected.wait, CONNECT_S)
        self._task = asyncio.create_task(self._run(), name="sensors")

    async def stop(self) -> None:
        """Stop sending and leave the broker."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send one message of one's own choice."""
        self._client.publish(topic, payload, qos=1, retain=retain)

    async def _run(self) -> None:
        while True:
            for topic in self._topics:
                payload: bytes | None = topic.payload(self._now())
                if self.tamper is not None and payload is not None:
                    payload = await self.tamper(topic, payload)
                if payload is not None:
                    self.publish(topic.topic, payload)
                await asyncio.sleep(self._every_s / len(self._topics))


def _rounded(value: float, digits: int) -> float | int | None:
    if math.isnan(value):
        return None
    return round(value, digits) if digits else round(value)
