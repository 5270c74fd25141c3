"""Modbus TCP: the gateway at 20,000 points/s, its ceiling, and our client against pymodbus' own.

Reference: `pymodbus.client.AsyncModbusTcpClient`, reading the same blocks of the same units as we do, over
as many connections at once, on the same loop (uvloop), and decoding with its own `convert_from_registers`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop
from pymodbus.client import AsyncModbusTcpClient

from benchmarks.harness import Figure, Options, Turn, cpu_turn, interleave, ratios
from benchmarks.plant import cloud, modbus_units
from benchmarks.site import TEMPLATE, Load, names, running_gateway, write_configuration
from drivers.base import Delivery, Device, Point, PollGroup
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, PointSettings, TcpLinkSettings
from drivers.modbus.types import RegisterType

LIBRARIES: Final = ("pymodbus", "uvloop", "numpy")

REGISTERS: Final = 50
SETTLE_S: Final = 15
"""Not measured: connecting, the first commits, the worker's warm-up."""


def run(options: Options) -> dict[str, Figure]:
    """Figures of the whole gateway, of the bare driver, and the ratio to pymodbus."""
    steady = _gateway(options.choose(400, 4), 1.0, options.duration(60, 2), sending=True, options=options)
    ceiling = _gateway(
        options.choose(20, 2), 0.004, options.duration(60, 2) / 4, sending=False, options=options
    )
    bare, ratio = _against_pymodbus(options.choose(20, 2), options)
    polls = steady.seconds * options.choose(400, 4)
    return {
        "points_per_s": round(ceiling.samples_per_s),
        "cpu_percent_ceiling": round(ceiling.cpu_percent, 1),
        "driver_points_per_s": round(bare),
        "devices": options.choose(400, 4),
        "steady_points_per_s": round(steady.samples_per_s),
        "sent_per_s": round(steady.acknowledged / steady.seconds),
        "cpu_percent_20k": round(steady.cpu_percent, 2),
        "late_percent": round(100 * steady.late / polls, 3),
        "missed_percent": round(max(0.0, 100 * (1 - steady.samples / (polls * REGISTERS))), 3),
        "backlog_end": steady.backlog,
        "rss_mb": round(steady.rss_mb, 1),
        "ratios": ratio,
    }


def _gateway(units: int, every_s: float, seconds: float, *, sending: bool, options: Options) -> Load:
    """A gateway process over `units` devices of 50 registers, each its own link, polled every `every_s`."""
    with tempfile.TemporaryDirectory() as name, modbus_units(units) as ports:
        folder = Path(name)
        with cloud(folder / "cloud") as url:
            write_configuration(
                folder,
                devices={
                    device: {
                        "template": TEMPLATE,
                        "host": "127.0.0.1",
                        "port": port,
                        "every": f"{every_s * 1000:g}ms",
                    }
                    for device, port in zip(names("meter", units), ports, strict=True)
                },
                points=_point_settings(),
                driver="modbus",
                cloud=url if sending else None,
            )
            with running_gateway(folder) as site:
                site.wait_online(units)
                time.sleep(options.choose(SETTLE_S, 1))
                return site.observe(seconds)


def _point_settings() -> dict[str, dict[str, Any]]:
    """One unsigned 16-bit register each, in tenths of a degree."""
    return {
        f"r{register:02d}": {
            "register": register,
            "type": "u16",
            "scale": 0.1,
            "unit": "degC",
            "quantity": "temperature",
        }
        for register in range(REGISTERS)
    }


def _against_pymodbus(units: int, options: Options) -> tuple[float, dict[str, float | None]]:
    """Points/s of the bare driver, and our CPU per point over pymodbus'."""
    sweeps = options.choose(100, 3)
    with (
        modbus_units(units, processes=1) as ports,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        ours, theirs = runner.run(_drivers(ports)), runner.run(_clients(ports))
        speed: list[float] = []

        def turn(sweep: Callable[[], Awaitable[None]]) -> Turn:
            return cpu_turn(lambda: runner.run(_sweeps(sweep, sweeps)) * units * REGISTERS)

        def timed() -> float:
            start = time.perf_counter()
            cost = turn(ours.sweep)()
            speed.append(sweeps * units * REGISTERS / (time.perf_counter() - start))
            return cost

        medians = interleave({"ours": timed, "pymodbus": turn(theirs.sweep)}, rounds=options.choose(9, 2))
        runner.run(ours.close())
        theirs.close()
    return sorted(speed)[len(speed) // 2], ratios(medians)


async def _sweeps(sweep: Callable[[], Awaitable[None]], count: int) -> int:
    for _ in range(count):
        await sweep()
    return count


class _Ours:
    """One driver for each unit, as the gateway has them."""

    def __init__(self, drivers: Sequence[tuple[ModbusDriver, PollGroup]]) -> None:
        self._drivers = drivers

    async def sweep(self) -> None:
        """Poll every unit once, all at the same time."""
        results = await asyncio.gather(*(driver.poll(group) for driver, group in self._drivers))
        if any(result.fault for result in results):
            raise RuntimeError("a simulated unit did not answer")

    async def close(self) -> None:
        await asyncio.gather(*(driver.close() for driver, _ in self._drivers))


async def _drivers(ports: Sequence[int]) -> _Ours:
    drivers = []
    for unit, port in enumerate(ports):
        name = f"meter-{unit}"
        points = tuple(
            Point(
                series=unit * REGISTERS + row,
                device=name,
                name=point,
                source=PointSettings(register=row, type=RegisterType.U16, scale=0.1),
                quantity="temperature",
                unit="degC",
                source_unit="degC",
            )
            for row, point in enumerate(_point_settings())
        )
        group = PollGroup(name, 1.0, points)
        driver = ModbusDriver(TcpLinkSettings(host="127.0.0.1", port=port), time.time_ns)
        await driver.open(_nothing_comes)
        await driver.assign([Device(name, DeviceSettings(), (group,))])
        drivers.append((driver, group))
    return _Ours(drivers)


async def _nothing_comes(delivery: Delivery) -> None:
    raise RuntimeError(f"Modbus delivered unasked: {delivery}")


class _Theirs:
    """One pymodbus client for each unit."""

    def __init__(self, clients: Sequence[AsyncModbusTcpClient]) -> None:
        self._clients = clients

    async def sweep(self) -> None:
        """Read every unit once, all at the same time."""
        await asyncio.gather(*(_read(client) for client in self._clients))

    def close(self) -> None:
        for client in self._clients:
            client.close()


async def _read(client: AsyncModbusTcpClient) -> list[float]:
    """50 values in tenths: one request, one conversion of the whole block."""
    answer = await client.read_holding_registers(0, count=REGISTERS, device_id=1)
    if answer.isError():
        raise RuntimeError(f"pymodbus: {answer}")
    values = client.convert_from_registers(answer.registers, client.DATATYPE.UINT16)
    assert isinstance(values, list)
    return [value / 10 for value in values]


async def _clients(ports: Sequence[int]) -> _Theirs:
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port) for port in ports]
    connected = await asyncio.gather(*(client.connect() for client in clients))
    if not all(connected):
        raise RuntimeError("pymodbus could not connect to a simulated unit")
    return _Theirs(clients)
