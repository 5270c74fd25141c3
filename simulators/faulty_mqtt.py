"""A broker and its sensors with faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from drivers.base import Now
from simulators.faults import SECOND_NS, ActiveFault, FaultBoard, FaultKind
from simulators.mqtt import Broker, SensorPublisher, Topic

_IN_A_BREATH = 500
"""Messages of a flood between two turns of the event loop."""
_RUBBISH = (b"", b"{", b'{"temperature": "warm"}', b"\xff\xfe\x00", b"[1, 2", b"NaN?")


class FaultyBroker:
    """The broker under its name on the board; floods are sent by the sensors' client."""

    protocol = "broker"
    points: Sequence[str] = ()

    def __init__(self, board: FaultBoard, name: str, host: str, port: int) -> None:
        self._broker = Broker(host, port)
        self._topics: Sequence[Topic] = ()
        self._publisher: SensorPublisher | None = None
        self._board = board
        self._down = 0
        board.attach(name, self)

    def floods(self, publisher: SensorPublisher, topics: Sequence[Topic]) -> None:
        """Whose topics a flood goes to, and who sends it."""
        self._publisher, self._topics = publisher, topics

    async def start(self) -> None:
        """Listen. Raises MissingBroker, OSError."""
        await self._broker.start()

    async def stop(self) -> None:
        await self._broker.stop()

    async def begin(self, active: ActiveFault) -> None:
        fault = active.fault
        if fault.kind is FaultKind.REBOOT:
            self._down += 1
            await self._broker.stop()
        elif self._publisher is not None and self._topics:
            count = int(fault.value or 0)
            if fault.kind is FaultKind.OVERSIZE:
                self._publisher.publish(self._topics[0].topic, b"9" * count)
                return
            for number in range(count):
                topic = self._topics[number % len(self._topics)].topic
                self._publisher.publish(topic, _RUBBISH[number % len(_RUBBISH)])
                if number % _IN_A_BREATH == 0:
                    await asyncio.sleep(0)

    async def end(self, active: ActiveFault) -> None:
        if active.fault.kind is FaultKind.REBOOT:
            self._down -= 1
            if not self._down:
                await self._broker.start()


class FaultySensors:
    """All sensors of one publisher; each is on the board under its device's name.

    topics: what each sends, and the names of its points.
    """

    def __init__(
        self,
        board: FaultBoard,
        host: str,
        port: int,
        topics: Sequence[tuple[Topic, Sequence[str]]],
        now: Now,
        every_s: float,
    ) -> None:
        self._board = board
        self._now = now
        self.publisher = SensorPublisher(host, port, [topic for topic, _ in topics], now, every_s)
        self.publisher.tamper = self._tamper
        for topic, points in topics:
            board.attach(topic.device, _Sensor(self, topic, points))

    async def start(self) -> None:
        await self.publisher.start()

    async def stop(self) -> None:
        await self.publisher.stop()

    def send_retained(self, topic: Topic, seconds_old: float) -> None:
        """Leave a retained message of earlier with the broker."""
        at = self._now() - round(seconds_old * SECOND_NS)
        self.publisher.publish(topic.topic, topic.payload(at), retain=True)

    async def _tamper(self, topic: Topic, payload: bytes) -> bytes | None:
        if not self._board.active(topic.device):
            return payload
        if self._board.striking(topic.device, FaultKind.DROP, FaultKind.RETAINED_STALE):
            return None
        for active in self._board.striking(topic.device, FaultKind.DELAY):
            await asyncio.sleep(active.fault.seconds or 0.0)
        if self._board.striking(topic.device, FaultKind.TRUNCATE):
            payload = payload[: len(payload) // 2]
        return b"\xff" + payload if self._board.striking(topic.device, FaultKind.CORRUPT) else payload


class _Sensor:
    """One sensor, as the board sees it."""

    protocol = "sensor"

    def __init__(self, sensors: FaultySensors, topic: Topic, points: Sequence[str]) -> None:
        self._sensors = sensors
        self._topic = topic
        self.points = points

    async def begin(self, active: ActiveFault) -> None:
        if active.fault.kind is FaultKind.RETAINED_STALE:
            self._sensors.send_retained(self._topic, active.fault.seconds or 0.0)

    async def end(self, active: ActiveFault) -> None:
        if active.fault.kind is FaultKind.RETAINED_STALE:
            self._sensors.publisher.publish(self._topic.topic, b"", retain=True)
