"""faults.md 28: broker restart, stale retained message, 10 MB payload, 10,000 malformed payloads: bounded,
good topics unaffected, stale marked. A real mosquitto; sensors and floods come from the simulators.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from drivers.base import Quality
from simulators.faults import FaultBoard, FaultKind, SimulatedFault
from simulators.faulty_mqtt import FaultyBroker, FaultySensors
from simulators.mqtt import Topic
from tests.faults.harness import device, point, running, seconds, stored, until, write
from tests.servers.fixtures import mosquitto
from tests.servers.mosquitto import Mosquitto

__all__ = ["mosquitto"]
pytestmark = [pytest.mark.servers, pytest.mark.slow]

SITE = """
links: {{broker: {{driver: mqtt, host: 127.0.0.1, port: {port}, max_payload: 100000}}}}
devices:
  bad: {{link: broker, topic: bad, every: 1s,
        points: {{temperature: {{json: temperature, unit: degC, quantity: temperature}}}}}}
  good: {{link: broker, topic: good, every: 1s,
         points: {{temperature: {{json: temperature, unit: degC, quantity: temperature}}}}}}
"""


def temperature(at_ns: int) -> float:
    return 20.0 + seconds(at_ns) % 5


async def test_floods_restarts_and_stale_messages_leave_the_good_topic_alone(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """Seen failing: with `_RunningLink.watch_silence` returning at once the silent sensor is never stale."""
    board = FaultBoard()
    topics = [(Topic(n, {"temperature": (temperature, 2)}, n), ["temperature"]) for n in ("bad", "good")]
    sensors = FaultySensors(board, "127.0.0.1", mosquitto.port, topics, time.time_ns, 0.4)
    floods = FaultyBroker(board, "mqtt", "127.0.0.1", 0)  # mosquitto is the broker; this sends the floods
    floods.floods(sensors.publisher, [topics[0][0]])
    await sensors.start()
    async with running(write(tmp_path, SITE.format(port=mosquitto.port))) as gateway:
        await until(lambda: point(gateway, "temperature", "good").value is not None, 15, "the first message")
        memory = psutil.Process().memory_info().rss
        await board.set("mqtt", SimulatedFault(FaultKind.OVERSIZE))
        await board.set("mqtt", SimulatedFault(FaultKind.MALFORMED_FLOOD))
        for _ in range(10):
            since = point(gateway, "temperature", "good").time
            await until(lambda: point(gateway, "temperature", "good").time > since, 3, "good values go on")  # noqa: B023
            assert point(gateway, "temperature", "good").quality == Quality.GOOD
        assert psutil.Process().memory_info().rss - memory < 60e6

        await board.set("bad", SimulatedFault(FaultKind.RETAINED_STALE, seconds=3600.0))
        await until(lambda: not device(gateway, "bad").online, 10, "the silent sensor is stale")
        assert device(gateway, "bad").fault == "silent"
        await until(
            lambda: point(gateway, "temperature", "bad").quality == Quality.STALE, 2, "stale in the data"
        )
        await board.clear()
        await until(lambda: device(gateway, "bad").online, 5, "it sends again")

        await asyncio.to_thread(mosquitto.kill)
        await asyncio.to_thread(mosquitto.start)
        back = time.time_ns()
        await until(lambda: point(gateway, "temperature", "good").time > back, 15, "values after the restart")
        assert device(gateway, "good").online
    await sensors.stop()
    await board.close()
    assert all(15.0 < value < 30.0 for value in stored(tmp_path, "good", "temperature").value)
