"""What a BACnet configuration accepts, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings, parse_object
from drivers.registry import KINDS

GENERIC = {"link", "every", "points", "unit", "quantity", "kind", "cov"}
"""Keys of devices and points that belong to every driver, not to this one."""


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("analog-input,3", (0, 3)),
        ("analog-value:7", (2, 7)),
        ("Analog Input, 3", (0, 3)),
        ("analog_input,3", (0, 3)),
        ("AI3", (0, 3)),
        ("ai:3", (0, 3)),
        ("BV 12", (5, 12)),
        ("multi-state-input,1", (13, 1)),
        ("MSV,4", (19, 4)),
        ("130,7", (130, 7)),
        ("device,1201", (8, 1201)),
    ],
)
def test_objects_may_be_written_as_engineers_write_them(text, parsed):
    assert parse_object(text) == parsed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("analog-inputs,3", "did you mean 'analog-input'"),
        ("anlog-value,3", "did you mean 'analog-value'"),
        ("analog-input", "write type,instance"),
        ("analog-input,x", "write type,instance"),
        ("analog-input,4194303", "at most 4194302"),
        ("1024,1", "unknown"),
        ("", "write type,instance"),
    ],
)
def test_a_wrong_object_is_refused_with_advice(text, said):
    with pytest.raises(ValidationError, match=said):
        PointSettings(object=text)


def test_a_wrong_property_is_refused_with_the_nearest():
    with pytest.raises(ValidationError, match="did you mean 'present-value'"):
        PointSettings(object="analog-input,1", property="presnt-value")


def test_the_present_value_is_the_default_property():
    assert PointSettings(object="analog-input,1").property == "present-value"


@pytest.mark.parametrize("address", ["10.0.0.7", "10.0.0.7:47809", "2001:5", "7:0x0a01"])
def test_a_device_may_be_bound_to_a_station(address):
    assert DeviceSettings(device_instance=1, address=address).address == address


@pytest.mark.parametrize("address", ["10.0.0", "10.0.0.7:99999", "controller", "70000:5", "10.0.0.300"])
def test_a_wrong_station_is_refused(address):
    with pytest.raises(ValidationError, match=r"address|port"):
        DeviceSettings(device_instance=1, address=address)


def test_an_interface_without_a_mask_gets_the_usual_one():
    assert LinkSettings(address="10.0.0.5").address == "10.0.0.5/24"


@pytest.mark.parametrize(
    ("address", "said"),
    [("10.0.0.5:47808", "port: 47808"), ("10.0.0.5/32", "broadcast"), ("eth0", "interface address")],
)
def test_a_wrong_interface_is_refused_with_advice(address, said):
    with pytest.raises(ValidationError, match=said):
        LinkSettings(address=address)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("2s", 2.0), (3, 3.0), ("1 min", 60.0), ("0.5", 0.5)]
)
def test_durations_have_units(text, seconds):
    assert LinkSettings(address="10.0.0.5", apdu_timeout=text).apdu_timeout == seconds


def test_a_duration_in_words_is_refused():
    with pytest.raises(ValidationError, match="no duration"):
        LinkSettings(address="10.0.0.5", apdu_timeout="soon")


def test_unknown_keys_are_errors():
    with pytest.raises(ValidationError, match="max_bacth"):
        DeviceSettings(device_instance=1, max_bacth=10)


def test_the_sample_configuration_loads():
    path = Path(__file__).parents[3] / "drivers" / "bacnet" / "sample.yaml"
    sample = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    kind = KINDS["bacnet"]
    for link in sample["links"].values():
        kind.link_settings.model_validate({key: value for key, value in link.items() if key != "driver"})
    for device in sample["devices"].values():
        kind.device_settings.model_validate(
            {key: value for key, value in device.items() if key not in GENERIC}
        )
        for point in device["points"].values():
            kind.point_settings.model_validate(
                {key: value for key, value in point.items() if key not in GENERIC}
            )
    assert len(sample["devices"]) == 3
