"""A 32-bit meter passes its last count: from the wire to the energy nothing is negative and nothing jumps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analytics.counters import unwrap
from drivers.base import Device
from drivers.modbus.driver import create
from gateway.config import load
from gateway.field import driver_device
from gateway.ingest import ConversionTable
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer
from tests.drivers.modbus.simulated_meter import discard

SITE = """
site: {{id: rollover, timezone: UTC}}
devices:
  meter:
    host: 127.0.0.1
    port: {port}
    template: {template}
    every: 60s
    points:
      energy_import: {{{extra}}}
"""
MINUTE_NS = 60 * 10**9


def write(folder: Path, port: int, template: str, extra: str) -> None:
    (folder / "site.yaml").write_text(
        SITE.format(port=port, template=template, extra=extra), encoding="utf-8"
    )


async def energies(folder: Path, template: str, extra: str, start: float, step: float) -> list[float]:
    """Energy of each minute [kWh] as the gateway computes it; `step`: of a minute, in the meter's unit."""
    write(folder, 502, template, extra)
    spec = load(folder).devices["meter"]
    now, modulus = [0], 2.0**32
    by_name = {point.name: point for point in spec.points}
    scale = getattr(by_name["energy_import"].source, "scale")  # noqa: B009 - Settings of a Modbus point

    def register(at_ns: int) -> float:
        return (start + step * (at_ns // MINUTE_NS)) / scale % modulus * scale

    points = [
        ServedPoint(name, point.source, register if name == "energy_import" else lambda _: 0.0)
        for name, point in by_name.items()
    ]
    server = ModbusServer("127.0.0.1", 0, {1: points}, lambda: now[0])
    await server.start()
    write(folder, server.port, template, extra)
    installation = load(folder)
    spec = installation.devices["meter"]
    ids = {point.key: series for series, point in enumerate(spec.points)}
    device: Device = driver_device(spec, ids)
    driver = create("meter", installation.links[spec.link].settings, lambda: now[0])
    await driver.open(discard)
    await driver.assign([device])
    table = ConversionTable({ids[point.key]: point for point in spec.points})
    wanted = ids["meter", "energy_import"]
    readings = []
    for minute in range(10):
        now[0] = minute * MINUTE_NS
        result = await driver.poll(device.groups[0])
        assert result.fault is None
        batch = table.convert(result.batch)
        readings.append(float(batch.value[batch.series == wanted][0]))
    await driver.close()
    await server.stop()
    point = next(point for point in spec.points if point.name == "energy_import")
    times = np.arange(10) * MINUTE_NS
    total, _, _ = unwrap(times, np.array(readings), point.modulus or 0.0, point.max_rate or 0.0)
    return [float(value) for value in np.diff(total)]


@pytest.mark.parametrize(
    ("template", "unit", "step", "max_rate"),
    [("socomec/countis-e24", 10.0, 2000.0, "200000"), ("siemens/7kt1665", 0.001, 1.5, "200")],
)
async def test_an_energy_goes_on_over_the_last_count(
    tmp_path: Path, template: str, unit: float, step: float, max_rate: str
) -> None:
    """Countis counts tens of Wh, the 7KT1665 thousandths of a kWh; both in 32 bits."""
    start = 2.0**32 * unit - 4 * step
    found = await energies(tmp_path, template, f"max_rate: {max_rate}", start, step)
    in_kwh = step / (1000.0 if template.startswith("socomec") else 1.0)
    assert found == pytest.approx([in_kwh] * 9)


async def test_without_a_nameplate_the_fall_is_a_reset_and_no_spike(tmp_path: Path) -> None:
    start = 2.0**32 * 10 - 4 * 2000.0
    found = await energies(tmp_path, "socomec/countis-e24", "kind: counter", start, 2000.0)
    assert min(found) == 0.0
    assert max(found) == pytest.approx(2.0)
