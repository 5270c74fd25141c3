"""A device describes itself: objects, names, units and kinds, whatever it can send at once."""

from __future__ import annotations

import math
import time
from contextlib import asynccontextmanager

import pytest
from bacpypes3.basetypes import DeviceObjectPropertyReference, EngineeringUnits, Segmentation
from bacpypes3.errors import ObjectError
from bacpypes3.object import TrendLogObject

from drivers.bacnet.describe import describe
from drivers.bacnet.discovery import who_is
from drivers.bacnet.settings import LinkSettings, PointSettings
from drivers.bacnet.stack import Stack
from drivers.bacnet.units import OURS, in_words
from drivers.base import Kind
from drivers.units import CANONICAL, conversion
from simulators.bacnet import BacnetDevice
from simulators.base import ServedPoint

POINTS = [
    ("Supply Air Temp", "analog-input,1", "degC", 18.5),
    ("Supply Air Temp Setpoint", "analog-value,1", "degC", 19.0),
    ("Valve", "analog-output,1", "%", 40.0),
    ("Supply Air Flow", "analog-input,2", "L/s", 900.0),
    ("Energy", "analog-input,3", "kWh", 1234.0),
    ("Occupied", "binary-input,1", "1", 1.0),
    ("Fan Command", "binary-value,1", "1", 0.0),
    ("Mode", "multi-state-value,1", "1", 2.0),
]


@asynccontextmanager
async def _described(free_port, points=POINTS, prepare=lambda app: None, **kwargs):
    served = [
        ServedPoint(name, PointSettings(object=item), lambda _, v=value: v, unit)
        for name, item, unit, value in points
    ]
    port = free_port()
    controller = BacnetDevice("127.0.0.1", port, 1201, "ahu-1", served, time.time_ns)
    await controller.start()
    stack = await Stack.open(LinkSettings(address="127.0.0.1/24", port=free_port(), apdu_timeout=2.0))
    try:
        prepare(controller.application)
        (device,) = await who_is(stack.app, timeout=0.2, address=f"127.0.0.1:{port}")
        yield await describe(stack.app, device, **kwargs)
    finally:
        await stack.close()
        await controller.stop()


async def test_objects_come_with_names_units_kinds_and_values(free_port):
    async with _described(free_port) as told:
        assert told.device.name == "ahu-1"
        got = [(o.name, o.object, o.unit, o.quantity, o.kind, o.value) for o in told.objects]
    assert sorted(got) == sorted(
        [
            ("Supply Air Temp", "analog-input,1", "degC", "temperature", Kind.GAUGE, 18.5),
            ("Supply Air Temp Setpoint", "analog-value,1", "degC", "temperature", Kind.SETPOINT, 19.0),
            ("Valve", "analog-output,1", "%", "percentage", Kind.GAUGE, 40.0),
            ("Supply Air Flow", "analog-input,2", "L/s", "air_flow", Kind.GAUGE, 900.0),
            ("Energy", "analog-input,3", "kWh", "electric_energy", Kind.COUNTER, 1234.0),
            ("Occupied", "binary-input,1", "", "state", Kind.STATE, 1.0),
            ("Fan Command", "binary-value,1", "", "state", Kind.COMMAND, 0.0),
            ("Mode", "multi-state-value,1", "", "state", Kind.STATE, 2.0),
        ]
    )
    assert told.others == ("network-port,1",)


async def test_what_can_be_commanded_and_notified_is_told(free_port):
    async with _described(free_port) as told:
        by_name = {o.name: o for o in told.objects}
    assert [name for name, o in by_name.items() if o.commandable] == [
        "Supply Air Temp Setpoint", "Valve", "Fan Command",
    ]  # fmt: skip
    assert by_name["Supply Air Temp"].cov_increment == pytest.approx(0.1)
    assert by_name["Supply Air Temp"].description == "Supply Air Temp"
    assert by_name["Supply Air Temp"].bacnet_unit == "degrees-celsius"


def _no_segmentation(app):
    app.device_object.segmentationSupported = Segmentation.noSegmentation


def _no_multiple(app):
    app.do_ReadPropertyMultipleRequest = None


def _all_or_nothing(app):
    stock = app.do_ReadPropertyMultipleRequest

    async def strict(apdu):
        for spec in apdu.listOfReadAccessSpecs:
            served = app.get_object_id(spec.objectIdentifier)
            for wanted in spec.listOfPropertyReferences:
                if await served.read_property(wanted.propertyIdentifier) is None:
                    raise ObjectError("unknown-property")
        await stock(apdu)

    app.do_ReadPropertyMultipleRequest = strict


@pytest.mark.parametrize("habit", [_no_segmentation, _no_multiple, _all_or_nothing])
async def test_a_device_with_a_controllers_limits_tells_the_same(free_port, habit):
    many = [(f"Room {i} air temperature", f"analog-input,{i}", "degC", float(i)) for i in range(150)]
    progress = []
    async with _described(free_port, many, habit, progress=lambda *at: progress.append(at)) as told:
        assert [(o.name, o.unit, o.value) for o in told.objects] == [(n, u, v) for n, _, u, v in many]
    assert progress == [(50, 150), (100, 150), (150, 150)]


async def test_without_shrinking_a_device_without_segmentation_tells_nothing(free_port, monkeypatch):
    """What the test above would see without the handling."""
    monkeypatch.setattr("drivers.bacnet.describe.is_too_big", lambda _: False)
    many = [(f"Room {i} air temperature " * 4, f"analog-input,{i}", "degC", 1.0) for i in range(150)]
    with pytest.raises(BaseException, match="segmentation-not-supported"):
        async with _described(free_port, many, _no_segmentation):
            pass


async def test_a_trend_log_is_told_at_the_object_it_records(free_port):
    def with_log(app):
        recorded = DeviceObjectPropertyReference(
            objectIdentifier=("analog-input", 1), propertyIdentifier="present-value"
        )
        app.add_object(
            TrendLogObject(
                objectIdentifier=("trend-log", 5), objectName="log", logDeviceObjectProperty=recorded
            )
        )

    async with _described(free_port, prepare=with_log) as told:
        assert {o.object: o.trend_log for o in told.objects if o.trend_log} == {
            "analog-input,1": "trend-log,5"
        }
        assert "trend-log,5" in told.others


async def test_an_object_with_a_unit_of_nobodys_is_told_by_its_name(free_port):
    def odd(app):
        app.objectName["Valve"].units = EngineeringUnits("ohms")
        app.objectName["Energy"].presentValue = math.nan

    async with _described(free_port, prepare=odd) as told:
        by_name = {o.name: o for o in told.objects}
    assert (by_name["Valve"].unit, by_name["Valve"].quantity, by_name["Valve"].bacnet_unit) == (
        "",
        "",
        "ohms",
    )


@pytest.mark.parametrize("number", sorted(OURS))
def test_every_unit_converts_to_what_its_quantity_is_stored_in(number):
    ours = OURS[number]
    assert conversion(ours.unit, CANONICAL[ours.quantity]).factor * ours.factor > 0


@pytest.mark.parametrize(
    ("number", "canonical"),
    [
        (22, 3.51685284206667),  # ton-hours -> kWh
        (57, 98.0665),  # cm of water -> Pa
        (60, 1333.22387415),  # cm of mercury -> Pa
        (76, 0.3048),  # feet per second -> m/s
        (104, 1 / 60),  # rpm -> Hz
        (142, 28.316846592),  # cubic feet per second -> L/s
        (216, 1000.0),  # ug/L -> ug/m3
        (247, 1 / 3.6e6),  # J/h -> kW
    ],
)
def test_units_that_need_a_factor_come_out_right(number, canonical):
    ours = OURS[number]
    assert ours.factor * conversion(ours.unit, CANONICAL[ours.quantity]).factor == pytest.approx(canonical)


@pytest.mark.parametrize(
    ("quantity", "unit", "text", "said"),
    [
        ("water_flow", "L/s", "AHU1_SupplyAir_Flow air", "air_flow"),
        ("water_flow", "gpm", "AHU chilled loop", "water_flow"),
        ("air_flow", "m3/s", "Chilled water flow", "water_flow"),
        ("gas_volume", "ft3", "Domestic water", "water_volume"),
        ("water_volume", "m3", "Boiler gas meter", "gas_volume"),
        ("electric_energy", "kWh", "Gas meter", "gas_energy"),
        ("percentage", "%", "Return air humidity", "humidity"),
        ("co2", "ppm", "Room VOC", "voc"),
        ("percentage", "%", "Stair damper", "percentage"),
    ],
)
def test_an_objects_words_make_its_quantity_exact(quantity, unit, text, said):
    assert in_words(quantity, unit, text) == said
