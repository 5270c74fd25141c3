"""BACnet/IP: 2,000 points a second from ten devices on one loop, and our reads against the stock ones.

References, reading the same objects 50 at a time from the same devices, all devices at once:
`bac0_read_multiple` is BAC0's `readMultiple`, `bacpypes3_rpm` is bacpypes3's `read_property_multiple` below
it, its request objects made beforehand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import numpy as np
import uvloop

from benchmarks.harness import CpuMeter, Figure, Options, cpu_turn, interleave, ratios, rss_mb
from benchmarks.plant import bacnet_devices, free_udp_ports
from drivers.bacnet.driver import BacnetDriver
from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.base import Delivery, Device, Point, PollGroup, PollResult
from gateway.clock import SystemClock
from gateway.polling import Lane

LIBRARIES: Final = ("BAC0", "bacpypes3", "uvloop", "numpy")

BATCH: Final = 50
TICK_S: Final = 0.002
"""How often the loop is asked whether it is still there; what it answers later than that is a stall."""


def run(options: Options) -> dict[str, Figure]:
    """CPU and stalls of polling at 1 s, and CPU per point against both stock ways of reading."""
    count, objects = options.choose(10, 2), options.choose(200, 20)
    with (
        bacnet_devices(count, objects) as ports,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        site = runner.run(_Site.open(ports, objects))
        steady = runner.run(_steady(site, options.duration(40, 4)))
        stock = runner.run(_Stock.open(ports, objects))
        ways: dict[str, Callable[[], Awaitable[None]]] = {
            "ours": site.sweep,
            "bac0_read_multiple": stock.bac0,
            "bacpypes3_rpm": stock.bacpypes3,
        }
        turns = {name: cpu_turn(_points(runner, sweep, count * objects)) for name, sweep in ways.items()}
        medians = interleave(turns, rounds=options.choose(7, 1))
        runner.run(stock.close())
        runner.run(site.driver.close())
    return {
        "points": count * objects,
        **steady,
        "rss_mb": round(rss_mb(), 1),
        "us_per_point": {name: round(1e6 * cost, 2) for name, cost in medians.items()},
        "ratios": ratios(medians),
    }


def _points(runner: asyncio.Runner, sweep: Callable[[], Awaitable[None]], points: int) -> Callable[[], float]:
    async def once() -> None:
        await sweep()

    def work() -> float:
        runner.run(once())
        return points

    return work


class _Site:
    """Our driver with its devices, one poll group each."""

    def __init__(self, driver: BacnetDriver, groups: Sequence[PollGroup]) -> None:
        self.driver = driver
        self.groups = groups

    @classmethod
    async def open(cls, ports: Sequence[int], objects: int) -> _Site:
        link = LinkSettings(address="127.0.0.1/8", port=free_udp_ports(1)[0])
        driver = BacnetDriver("bms", link, time.time_ns)
        devices = [_device(number, port, objects) for number, port in enumerate(ports)]
        await driver.open(_nothing_comes)
        await driver.assign(devices)
        site = cls(driver, [device.groups[0] for device in devices])
        await site.sweep()
        return site

    async def sweep(self) -> None:
        """Poll every device once, all at the same time."""
        results = await asyncio.gather(*(self.driver.poll(group) for group in self.groups))
        if any(result.fault or result.batch.quality.any() for result in results):
            raise RuntimeError("a simulated device did not answer")


def _device(number: int, port: int, objects: int) -> Device:
    name = f"device-{number}"
    points = tuple(
        Point(
            series=number * objects + i,
            device=name,
            name=f"ai{i}",
            source=PointSettings(object=f"analog-input,{i}"),
            quantity="temperature",
            unit="degC",
            source_unit="degC",
        )
        for i in range(1, objects + 1)
    )
    settings = DeviceSettings(device_instance=2001 + number, address=f"127.0.0.1:{port}", max_batch=BATCH)
    return Device(name, settings, (PollGroup(name, 1.0, points),))


async def _nothing_comes(delivery: Delivery) -> None:
    raise RuntimeError(f"nothing was subscribed, but there came {delivery}")


async def _steady(site: _Site, seconds: float) -> dict[str, Figure]:
    """The gateway's own lanes at 1 s: first CPU alone, then stalls, for watching the loop costs CPU too."""
    idle = await _stalls(seconds / 5)
    taken = _Taken()
    lanes = [Lane(site.driver, SystemClock(), taken.report) for _ in site.groups]
    for lane, group in zip(lanes, site.groups, strict=True):
        lane.assign([group])
    tasks = [asyncio.create_task(lane.run()) for lane in lanes]
    await asyncio.sleep(1)
    taken.points, meter = 0, CpuMeter()
    await asyncio.sleep(seconds / 2)
    cpu, rate = meter.percent(), taken.points / (seconds / 2)
    stalls = await _stalls(seconds / 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    polls = sum(lane.counts.polls for lane in lanes)
    return {
        "points_per_s": round(rate),
        "cpu_percent": round(cpu, 2),
        "late_percent": round(100 * sum(lane.counts.late for lane in lanes) / polls, 3),
        "worst_stall_ms": round(float(stalls.max()), 2),
        "p99_stall_ms": round(float(np.percentile(stalls, 99)), 2),
        "worst_stall_idle_ms": round(float(idle.max()), 2),
    }


class _Taken:
    """Counts what the lanes report."""

    def __init__(self) -> None:
        self.points = 0

    async def report(self, group: PollGroup, result: PollResult) -> None:
        self.points += len(result.batch)


async def _stalls(seconds: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How much later than asked the loop came back, each `TICK_S` [ms]."""
    late: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        await asyncio.sleep(TICK_S)
        late.append(1000 * (time.perf_counter() - start - TICK_S))
    return np.array(late)


class _Stock:
    """BAC0 on a port of its own, quietened as ours is."""

    def __init__(
        self, stack: Any, questions: Sequence[str], requests: Sequence[tuple[Any, list[Any]]]
    ) -> None:
        self._stack = stack
        self._questions = questions
        self._requests = requests

    @classmethod
    async def open(cls, ports: Sequence[int], objects: int) -> _Stock:
        from bacpypes3.apdu import PropertyReference
        from bacpypes3.pdu import Address
        from bacpypes3.primitivedata import ObjectIdentifier

        from drivers.bacnet.stack import Stack  # loads BAC0 without its traces; our driver has done so by now

        link = LinkSettings(address="127.0.0.1/8", port=free_udp_ports(1)[0], device_instance=3057)
        stack = await Stack.open(link)
        questions, requests = [], []
        for port in ports:
            for first in range(1, objects + 1, BATCH):
                batch = range(first, min(first + BATCH, objects + 1))
                wanted = " ".join(f"analog-input {i} presentValue" for i in batch)
                questions.append(f"127.0.0.1:{port} {wanted}")
                asked: list[Any] = []
                for i in batch:
                    reference = PropertyReference(propertyIdentifier="presentValue")
                    asked += [ObjectIdentifier(("analog-input", i)), [reference]]
                requests.append((Address(f"127.0.0.1:{port}"), asked))
        return cls(stack, questions, requests)

    async def bac0(self) -> None:
        """Everything once, by BAC0.readMultiple."""
        answers = await asyncio.gather(*(self._stack._bacnet.readMultiple(q) for q in self._questions))
        _check(answers, self._questions)

    async def bacpypes3(self) -> None:
        """Everything once, by bacpypes3's read_property_multiple."""
        read = self._stack.app.read_property_multiple
        _check(await asyncio.gather(*(read(*request) for request in self._requests)), self._requests)

    async def close(self) -> None:
        await self._stack.close()


def _check(answers: Sequence[Any], asked: Sequence[object]) -> None:
    if len(answers) != len(asked) or not all(len(answer) for answer in answers):
        raise RuntimeError("a simulated device did not answer the reference")
