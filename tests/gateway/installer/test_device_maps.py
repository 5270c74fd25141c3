"""Device maps as YAML: every value comes back as it was, and controllers' texts cannot break the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers.bacnet.description import DeviceDescription, FoundDevice, ObjectDescription
from drivers.base import Kind
from gateway.config import load
from gateway.config.errors import Problems
from gateway.config.loader import read_folder
from gateway.installer.devicemap import MapDevice, MapPoint, scalar, to_yaml
from gateway.installer.folder import ensure_link, ensure_site, write_devices
from gateway.installer.mapping import bacnet_device, mqtt_devices, register_candidates
from gateway.installer.naming import distinct, name_of

SCALARS = st.one_of(
    st.text(max_size=30), st.integers(-(10**9), 10**9), st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)  # fmt: skip


@given(SCALARS)
def test_a_scalar_reads_back_as_it_is(value: object) -> None:
    text = f"{{key: {scalar(value)}}}"
    read = YAML(typ="safe", pure=True).load(text)["key"]
    expected = value.replace("${", "$${") if isinstance(value, str) else value
    assert read == expected


@given(st.text(max_size=40))
def test_a_description_survives_the_configuration(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("map")
    ensure_site(folder, "Europe/Paris")
    device = MapDevice("ahu", {"description": text}, comments=(text,))
    # a runnable device would need a link; reading it back is enough here
    device = MapDevice("ahu", {**device.keys, "template": "x"}, comments=(text,))
    write_devices(folder, "a", [device], [text], force=False)
    problems = Problems()
    documents = read_folder(folder, problems, {})
    assert not problems.all()
    assert documents.devices["ahu"].child("description").value == text  # type: ignore[union-attr]


@given(st.text(max_size=30))
def test_any_text_makes_a_name(text: str) -> None:
    from re import fullmatch

    from gateway.expressions import NAME

    name = name_of(text, "x")
    assert fullmatch(NAME, name)
    assert not name.startswith("_")


def test_names_that_differ_in_letter_case_only_get_numbers() -> None:
    assert distinct(["Temp", "temp", "temp_2", "TEMP"]) == ["Temp", "temp_2", "temp_2_2", "TEMP_3"]


def described(*objects: ObjectDescription) -> DeviceDescription:
    device = FoundDevice(1201, "10.0.0.7", 5, 1476, "Trane", "AHU 1 (roof)", "UC800")
    return DeviceDescription(device, objects, ("schedule,1",))


def test_a_controller_becomes_points_with_its_names_and_units(tmp_path: Path) -> None:
    objects = (
        ObjectDescription("analog-input,1", "Supply Temp", "Zuluft", "degrees-celsius", "degC", 1.0,
                          "temperature", Kind.GAUGE, 18.5),
        ObjectDescription("binary-value,3", "Fan", "", "", "", 1.0, "state", Kind.COMMAND, 1.0, True,
                          ("off", "on")),
        ObjectDescription("analog-value,9", "Odd", "", "unit 512", "", 1.0, "", Kind.GAUGE, 3.0),
    )  # fmt: skip
    made = bacnet_device(described(*objects), "bms")
    ensure_site(tmp_path, "Europe/Paris")
    ensure_link(tmp_path, "bms", {"driver": "bacnet", "address": "10.0.0.5/24"})
    write_devices(tmp_path, "bacnet", [made], [], force=False)
    device = load(tmp_path, {}).devices["AHU_1_roof"]
    assert [(p.name, p.unit, str(p.kind)) for p in device.points] == [
        ("Supply_Temp", "degC", "gauge"), ("Fan", "1", "command"),
    ]  # fmt: skip
    assert [point.name for point in made.candidates] == ["Odd"]
    assert "unit 512" in made.candidates[0].comment


def test_mqtt_topics_become_devices_by_level_and_field() -> None:
    state = json.dumps({"temperature": 21.3, "co2": 640, "door": {"open": True}, "rssi": -60})
    devices = {d.name: d for d in mqtt_devices(
        {"building/room-101/state": state, "building/roof/outdoor_temperature": "4.5", "x/log": "boot"},
        "broker",
    )}  # fmt: skip
    room, roof = devices["room-101"], devices["roof"]
    assert room.keys["topic"] == "building/{device}/state"
    assert [(p.name, p.keys.get("unit"), p.keys.get("kind")) for p in room.points] == [
        ("temperature", "degC", None), ("co2", "ppm", None), ("door.open", None, "state"),
    ]  # fmt: skip
    assert [p.name for p in room.candidates] == ["rssi"]
    assert roof.points[0].keys == {
        "topic": "building/roof/outdoor_temperature", "payload": "raw", "unit": "degC",
        "quantity": "temperature",
    }  # fmt: skip
    assert set(devices) == {"room-101", "roof"}


def test_registers_that_are_absent_part_the_candidates() -> None:
    words = [0x4366, 0x8000, None, None, 0x0001, 0xE240]
    assert [p.keys["register"] for p in register_candidates(0, words, "holding")] == [0, 4]


def test_a_nought_at_the_front_belongs_to_the_number_behind_it() -> None:
    [candidate] = register_candidates(0, [0x0000, 0x8672], "holding")
    assert (candidate.keys["register"], candidate.keys["type"]) == (0, "u32")


def test_a_device_without_points_is_a_comment_as_a_whole() -> None:
    point = MapPoint("r0", {"register": 0, "type": "u16"}, "what\nis this")
    text = to_yaml([MapDevice("meter", {"host": "10.0.0.9"}, (), (point,))])
    assert YAML(typ="safe", pure=True).load(text) is None


def test_a_link_is_added_below_links_and_the_rest_of_the_site_stays(tmp_path: Path) -> None:
    site = "site: {id: a, timezone: UTC}\nlinks:  # buses\n  x: {driver: mqtt, host: b}  # mine\nroles: {}\n"
    (tmp_path / "site.yaml").write_text(site, encoding="utf-8")
    assert ensure_link(tmp_path, "bms", {"driver": "bacnet", "address": "10.0.0.5/24"})
    assert not ensure_link(tmp_path, "bms", {})
    text = (tmp_path / "site.yaml").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if "bms" not in line] == site.splitlines()
    assert set(load(tmp_path, {}).links) == {"x", "bms"}
