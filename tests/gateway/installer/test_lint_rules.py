"""Each lint rule fires on its fault and stays silent on a healthy point."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import pytest

from drivers.bacnet.settings import PointSettings as BacnetPoint
from drivers.base import Kind, Settings
from drivers.modbus.settings import PointSettings as ModbusPoint
from gateway.installer.lint import Watched, lint
from gateway.site import PointSpec


def spec(name: str, quantity: str, unit: str, source: Settings | None = None, **more: object) -> PointSpec:
    kind = Kind.COUNTER if quantity.endswith(("_energy", "_volume")) else Kind.GAUGE
    plain = source or BacnetPoint(object="analog-input,1")
    made = PointSpec("meter", name, plain, quantity, unit, unit, kind, 10.0)
    return replace(made, **more)  # type: ignore[arg-type]


def codes(*points: Watched) -> list[str]:
    return [finding.code for finding in lint(points)]


def f32(order: str = "ABCD") -> ModbusPoint:
    return ModbusPoint.model_validate({"register": 0, "type": "f32", "order": order})


def wobble(value: float) -> tuple[float, ...]:
    return tuple(value * (1 + 0.001 * math.sin(1 + look)) for look in range(8))


HEALTHY = [
    Watched(spec("power", "electric_power", "kW"), wobble(17.5)),
    Watched(spec("voltage_l1", "voltage", "V", f32()), wobble(231.4), struct.pack(">f", 231.4).hex(" ", 2)),
    Watched(spec("frequency", "frequency", "Hz"), wobble(50.0)),
    Watched(spec("energy_import", "electric_energy", "kWh"), tuple(123456.0 + n for n in range(8))),
    Watched(spec("export", "electric_energy", "kWh"), (0.0,) * 8),
    Watched(spec("supply_temp", "temperature", "degC"), (18.5,) * 8),
    Watched(spec("outdoor", "temperature", "degC"), (-8.2,) * 8),
    Watched(spec("idle_current", "current", "A"), (0.0,) * 8),
    Watched(spec("valve", "percentage", "%"), (100.0,) * 8),
]


def test_healthy_points_raise_no_doubt() -> None:
    assert lint(HEALTHY) == []


def test_a_swapped_word_order_is_named_with_its_remedy() -> None:
    wire = struct.pack(">f", 231.37)
    swapped = wire[2:] + wire[:2]
    misread = struct.unpack(">f", swapped)[0]
    [finding] = lint([Watched(spec("u", "voltage", "V", f32()), (misread,) * 3, swapped.hex(" ", 2))])
    assert finding.code == "wrong-order"
    assert "order: CDAB" in finding.remedy
    assert "231.37" in finding.message


@pytest.mark.parametrize(("factor", "value"), [("0.1", 2314.0), ("0.001", 231_400.0), ("100", 2.314)])
def test_a_scale_off_by_a_power_of_ten_is_named(factor: str, value: float) -> None:
    [finding] = lint([Watched(spec("u", "voltage", "V"), wobble(value))])
    assert finding.code == "wrong-scale"
    assert f"by {factor}" in finding.remedy


def test_a_value_outside_its_nameplate_is_named() -> None:
    power = spec("power", "electric_power", "kW", low=0.0, high=50.0)
    assert codes(Watched(power, wobble(70.0))) == ["out-of-nameplate"]


def test_a_counter_that_goes_down_is_named() -> None:
    assert codes(Watched(spec("e", "electric_energy", "kWh"), (5000.0, 5001.0, 4990.0))) == ["counter-down"]


def test_a_counter_that_jumps_is_named() -> None:
    assert codes(Watched(spec("e", "electric_energy", "kWh"), (5e5, 5e5, 9e5))) == ["counter-jumps"]


def test_a_power_that_never_moves_is_named() -> None:
    assert codes(Watched(spec("power", "electric_power", "kW"), (17.25,) * 8)) == ["constant"]


def test_a_device_of_which_nothing_moves_is_frozen_as_a_whole() -> None:
    points = [
        Watched(spec("power", "electric_power", "kW"), (17.25,) * 8),
        Watched(spec("u", "voltage", "V"), (230.25,) * 8),
        Watched(spec("i", "current", "A"), (12.25,) * 8),
    ]
    assert codes(*points) == ["frozen"]


def test_a_power_that_only_creeps_up_is_an_energy_register() -> None:
    values = tuple(84_210.0 + 0.5 * look for look in range(8))
    assert "looks-like-counter" in codes(Watched(spec("p", "heat_power", "kW"), values))


def test_a_name_that_says_another_quantity_is_named() -> None:
    assert codes(Watched(spec("supply_temp", "pressure", "Pa"), (21.0, 21.1))) == ["unit-mismatch"]


def test_two_points_that_say_the_same_digits_are_twins() -> None:
    first = Watched(spec("power", "electric_power", "kW"), wobble(17.512))
    second = Watched(replace(first.spec, name="power_2"), first.values)
    [finding] = lint([first, second])
    assert (finding.code, finding.point) == ("duplicate", "power_2")
    assert "meter/power" in finding.message


def test_a_point_without_any_value_says_why() -> None:
    [finding] = lint([Watched(spec("p", "electric_power", "kW"), (None, None), "", "no_answer timeout")])
    assert finding.code == "no-value"
    assert "timeout" in finding.message
