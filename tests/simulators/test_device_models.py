"""Every Modbus template can be served by its name, and reads back good with the gateway's own driver."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from drivers.base import Device, Point, PollGroup, Quality
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, TcpLinkSettings
from drivers.templates import find_templates
from simulators.modbus import ModbusServer
from simulators.models import TEMPLATES, ModelError, find_model, model_points, sped_up, units_of

MODELS = sorted(name for name in find_templates(TEMPLATES) if name.partition("/")[0] != "heyzack")


async def nothing(_: object) -> None: ...


@pytest.mark.parametrize("name", MODELS)
async def test_a_model_reads_back_as_it_shows(name: str) -> None:
    template = find_model(name)
    at = time.time_ns()
    points = model_points(template, seed=3)
    server = ModbusServer("127.0.0.1", 0, {1: points}, lambda: at)
    await server.start()
    link = TcpLinkSettings.model_validate({"host": "127.0.0.1", "port": server.port})
    driver = ModbusDriver(link, lambda: at)
    group = PollGroup(
        "meter",
        1.0,
        tuple(
            Point(n, "meter", point.name, point.settings, "x", point.unit, point.unit)
            for n, point in enumerate(points)
        ),
    )
    await driver.open(nothing)  # type: ignore[arg-type]
    await driver.assign([Device("meter", DeviceSettings(), (group,))])
    result = await driver.poll(group)
    await driver.close()
    await server.stop()
    await asyncio.sleep(0)
    assert result.fault is None
    assert result.batch.quality.tolist() == [Quality.GOOD] * len(points)
    true = np.array([point.value_at(at) for point in points])
    scale = np.array([abs(getattr(point.settings, "scale", 1.0)) for point in points])
    assert np.all(np.abs(result.batch.value - true) <= np.maximum(scale, np.abs(true) * 1e-6))


@pytest.mark.parametrize("name", MODELS)
def test_energy_rises_as_fast_as_power_says(name: str) -> None:
    points = {point.name: point for point in model_points(find_model(name), seed=3)}
    at, hour = time.time_ns(), 3_600 * 10**9
    for counter in (
        p for p in points.values() if p.name.startswith("energy_import") and p.unit.endswith("Wh")
    ):
        rise = counter.value_at(at + hour) - counter.value_at(at)
        assert rise > 0


def test_units_follow_each_other_unless_they_say_so() -> None:
    assert units_of(["a", "b@7", "c"], 1) == {1: "a", 7: "b", 8: "c"}
    with pytest.raises(ModelError, match="each given once"):
        units_of(["a@1", "b@1"], 1)


def test_an_unknown_template_names_those_there_are() -> None:
    with pytest.raises(ModelError, match="schneider/iem3155"):
        find_model("schneider/iem9999")


def test_a_clock_sped_up_sixty_times() -> None:
    now = [10]
    fast = sped_up(lambda: now[0], 60.0)
    now[0] = 11
    assert fast() == 70
