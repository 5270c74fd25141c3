"""One dead unit of ten behind a converter that speaks RTU over TCP: the others keep their cadence.

RTU has no transaction id, so each timeout costs a new connection as well; the backoff bounds how often.

Seen failing without the handling: with `Lane._reschedule` taking `lost` as False the dead unit is asked every
period.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from gateway.app import Gateway
from gateway.config import load
from gateway.store.reader import Reader
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer, Request
from tests.drivers.modbus.simulated_meter import settings
from tests.servers.process import free_port

DEAD, UNITS = 4, 10
EVERY_S, TIMEOUT_S, LASTS_S = 0.5, 0.3, 12.0
ANSWER_S = 0.03
"""What a real bus takes for one read: nine of them leave the dead unit no room to be asked every time."""
SITE = """
site: {{id: bus, timezone: UTC}}
links:
  bus: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, framer: rtu, timeout: {timeout}, pause: 2ms}}
devices:
{devices}
store: {{path: state, min_free: 1MiB}}
web: {{listen: "127.0.0.1:{page}"}}
"""
DEVICE = (
    "  unit-{n}: {{link: bus, unit_id: {n}, every: {every}s, "
    "points: {{power: {{register: 0, type: f64, unit: kW, quantity: electric_power}}}}}}\n"
)


async def test_one_dead_unit_of_ten_leaves_the_others_95_percent_of_their_cadence(tmp_path: Path) -> None:
    power = settings(register=0, type="f64")
    units = {n: [ServedPoint("power", power, lambda at_ns: at_ns / 1e9 % 86400)] for n in range(1, UNITS + 1)}
    server = ModbusServer("127.0.0.1", 0, units, time.time_ns, framer="rtu")
    asked: list[int] = []

    async def silence(request: Request, frame: bytes | None) -> bytes | None:
        asked.append(request.unit)
        if request.unit == DEAD:
            return None
        await asyncio.sleep(ANSWER_S)
        return frame

    server.tamper = silence
    await server.start()
    devices = "".join(DEVICE.format(n=n, every=EVERY_S) for n in units)
    text = SITE.format(port=server.port, devices=devices, page=free_port(), timeout=TIMEOUT_S)
    (tmp_path / "site.yaml").write_text(text, encoding="utf-8")
    gateway = Gateway(load(tmp_path))
    await gateway.start(page=False)
    try:
        await asyncio.sleep(LASTS_S)
        online = {device.device: device.online for device in gateway.status().devices}
    finally:
        await gateway.stop()
        await server.stop()
    assert online == {f"unit-{n}": n != DEAD for n in units}
    assert asked.count(DEAD) >= 3, "it is asked again"
    kept = good_polls(tmp_path)
    for n in units.keys() - {DEAD}:
        count, lasted_s = kept[f"unit-{n}"]
        assert (count - 1) * EVERY_S >= 0.95 * lasted_s, f"unit-{n}: {count} polls in {lasted_s:.1f} s"
        assert lasted_s > 0.8 * LASTS_S


def good_polls(folder: Path) -> dict[str, tuple[int, float]]:
    """By device: how many good samples, and the time from the first to the last [s]."""
    found = {}
    with Reader(folder / "state") as reader:
        for series in reader.series():
            if series.point != "power":
                continue
            samples = reader.samples(series.series, 0, 1 << 62)
            times = samples.time[samples.quality == 0]
            found[series.device] = (len(times), float(times[-1] - times[0]) / 1e9 if len(times) else 0.0)
    return found
