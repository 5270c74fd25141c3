"""MQTT: 1,000 JSON messages a second from mosquitto, and our driver against paho's callback and json.loads.

The broker is Debian's mosquitto. Reference `paho_json`: paho's client with an `on_message` that parses the
payload with the standard library's `json.loads` and keeps the values, QoS 1 and version 5 as ours. Both get
the same messages, published by another process; the ratio is processor time a message, threads included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import uvloop
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.harness import CpuMeter, Figure, Options, child, first_line, interleave, ratios, rss_mb
from drivers.base import Delivery, Device, Point, PollGroup
from drivers.mqtt.driver import MqttDriver
from drivers.mqtt.settings import DeviceSettings, LinkSettings, PointSettings

LIBRARIES: Final = ("paho-mqtt", "orjson", "uvloop")

DEVICES: Final = 50
QUANTITIES: Final = ("temperature", "co2", "humidity", "occupancy")
RATE: Final = 1000
PATIENCE_S: Final = 10.0


def run(options: Options) -> dict[str, Figure]:
    """CPU at 1,000 messages/s of four values each, and CPU per message against paho alone."""
    rate = options.choose(RATE, 100)
    turn_s, rounds = (1.0, 1) if options.quick else (options.duration(56, 1) / 14, 7)
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as (port, version):
        publisher = _Publisher(port, rate)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rates: list[float] = []
            percents: list[float] = []

            def ours() -> float:
                load = runner.run(_ours(port, publisher, turn_s))
                rates.append(load.messages / load.seconds)
                percents.append(load.percent)
                return load.cost

            medians = interleave(
                {"ours": ours, "paho_json": lambda: _paho(port, publisher, turn_s).cost}, rounds
            )
    return {
        "broker": version,
        "messages_per_s": round(sorted(rates)[len(rates) // 2]),
        "values_per_message": len(QUANTITIES),
        "cpu_percent": round(sorted(percents)[len(percents) // 2], 2),
        "us_per_message": {name: round(1e6 * cost, 1) for name, cost in medians.items()},
        "rss_mb": round(rss_mb(), 1),
        "ratios": ratios(medians),
    }


class _Load:
    """One turn: messages that came and what they cost this process."""

    def __init__(self, messages: int, meter: CpuMeter, seconds: float) -> None:
        if not messages:
            raise RuntimeError("no message came")
        self.messages = messages
        self.seconds = seconds
        self.percent = meter.percent()
        self.cost = meter.seconds() / messages


class _Publisher:
    """Starts the process that sends, for one turn."""

    def __init__(self, port: int, rate: int) -> None:
        self._arguments = ("--port", str(port), "--rate", str(rate))

    @contextmanager
    def sending(self) -> Iterator[None]:
        with child("benchmarks.mqtt", *self._arguments) as process:
            first_line(process)
            yield


async def _ours(port: int, publisher: _Publisher, seconds: float) -> _Load:
    """The driver as the gateway runs it; each delivery counts as committed 100 ms later, as a store would."""
    link = LinkSettings(host="127.0.0.1", port=port, version="5", persistent=False, client_id="bench-ours")
    driver = MqttDriver("broker", link, time.time_ns)
    taken = _Taken()
    await driver.open(taken.deliver)
    await driver.assign([_device(number) for number in range(DEVICES)])
    with publisher.sending():
        await asyncio.wait_for(taken.first.wait(), PATIENCE_S)
        await asyncio.sleep(0.3)
        before, meter, start = taken.values, CpuMeter(), time.perf_counter()
        await asyncio.sleep(seconds)
        messages = (taken.values - before) // len(QUANTITIES)
        load = _Load(messages, meter, time.perf_counter() - start)
    await driver.close()
    return load


class _Taken:
    """Counts values, and pays the acknowledgements."""

    def __init__(self) -> None:
        self.values = 0
        self.first = asyncio.Event()

    async def deliver(self, delivery: Delivery) -> None:
        if delivery.fault is None:
            self.values += len(delivery.batch)
            self.first.set()
        if delivery.committed is not None:
            asyncio.get_running_loop().call_later(0.1, delivery.committed)


def _device(number: int) -> Device:
    name = f"room-{number}"
    points = tuple(
        Point(
            series=number * len(QUANTITIES) + row,
            device=name,
            name=quantity,
            source=PointSettings.model_validate({"json": quantity}),
            quantity="state",
            unit="1",
            source_unit="1",
        )
        for row, quantity in enumerate(QUANTITIES)
    )
    return Device(name, DeviceSettings(topic="building/{device}/state"), (PollGroup(name, 60.0, points),))


def _paho(port: int, publisher: _Publisher, seconds: float) -> _Load:
    """paho alone: a callback, json.loads, the values kept by device."""
    latest: dict[str, Any] = {}
    count = 0

    def on_message(client: Client, userdata: object, message: MQTTMessage) -> None:
        nonlocal count
        latest[message.topic] = json.loads(message.payload)
        count += 1

    client = Client(CallbackAPIVersion.VERSION2, "bench-paho", protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe("building/+/state", qos=1)
    client.loop_start()
    try:
        with publisher.sending():
            deadline = time.monotonic() + PATIENCE_S
            while not count and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.3)
            before, meter, start = count, CpuMeter(), time.perf_counter()
            time.sleep(seconds)
            return _Load(count - before, meter, time.perf_counter() - start)
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def broker(folder: Path) -> Iterator[tuple[int, str]]:
    """mosquitto on a free loopback port; its port and version. RuntimeError where it is not installed."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise RuntimeError("this benchmark needs mosquitto (apt-get install mosquitto)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    configuration = folder / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    process = subprocess.Popen([program, "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        _await_listening(port)
        yield port, said.partition("\n")[0].strip()
    finally:
        process.terminate()
        process.wait(10)


def _await_listening(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.mqtt --port P --rate R`: publish until stdin closes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mqtt")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=int, required=True)
    given = parser.parse_args(arguments)
    end = threading.Event()
    threading.Thread(target=_await_end, args=(end,), daemon=True).start()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
    client.max_inflight_messages_set(10_000)
    client.connect("127.0.0.1", given.port)
    client.loop_start()
    print("ready", flush=True)
    with ExitStack() as stack:
        stack.callback(client.loop_stop)
        _publish(client, given.rate, end)
    return 0


def _await_end(end: threading.Event) -> None:
    sys.stdin.buffer.read()
    end.set()


def _publish(client: Client, rate: int, end: threading.Event) -> None:
    """A message each 1/rate s, in bursts of a hundredth of a second, in turn from each device."""
    start, sent = time.monotonic(), 0
    while not end.wait(0.01):
        due = int((time.monotonic() - start) * rate)
        for number in range(sent, due):
            state = {
                "temperature": 21 + number % 37 / 10,
                "co2": 600 + number % 91,
                "humidity": 41.5,
                "occupancy": number % 9,
            }
            client.publish(f"building/room-{number % DEVICES}/state", json.dumps(state), qos=1)
        sent = max(sent, due)


if __name__ == "__main__":
    sys.exit(main())
