"""Device templates: every shipped one decodes its golden frame, and a wrong one says where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.base import Quality
from drivers.modbus.codec import decode, encode
from drivers.modbus.settings import PointSettings
from drivers.templates import Template, TemplateError, Verified, find_templates, load_template
from drivers.units import conversion

SHIPPED = find_templates(Path(__file__).parents[2] / "configs" / "templates")
NAMES = {"voltage_l1", "current_l1", "power", "frequency", "energy_import", "energy_export"}

GOOD = """\
manufacturer: Acme
model: M1
driver: modbus
source: the manual, page 12
verified: none
points:
  power:
    register: 0
    type: i16
    unit: W
    quantity: electric_power
golden:
  power: {raw: "fff6", value: -10}
"""


def golden_cases() -> list[tuple[str, str]]:
    return [(name, point) for name, path in SHIPPED.items() for point in load_template(path).golden]


def write(folder: Path, text: str) -> Path:
    path = folder / "acme" / "m1.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "point"), golden_cases())
def test_a_golden_frame_decodes_to_its_value(name: str, point: str) -> None:
    template = load_template(SHIPPED[name])
    settings, golden = template.settings[point], template.golden[point]
    assert isinstance(settings, PointSettings)
    assert decode(settings, golden.raw) == (pytest.approx(golden.value), Quality.GOOD)
    assert encode(settings, golden.value) == golden.raw


def test_the_meters_that_the_documentation_names_are_shipped() -> None:
    assert {
        "abb/b23", "carlo-gavazzi/em24-e1", "carlo-gavazzi/em24-din", "eastron/sdm630", "janitza/umg96rm-e",
        "schneider/iem3155", "schneider/pm5110", "siemens/7kt1665", "siemens/pac2200", "socomec/countis-e24",
    } <= SHIPPED.keys()  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_a_template_says_where_its_registers_come_from(name: str) -> None:
    template = load_template(SHIPPED[name])
    assert template.name == name
    assert template.source
    assert template.verified in Verified
    assert set(template.points) <= NAMES


@pytest.mark.parametrize(
    "name", sorted(SHIPPED.keys() - {"heyzack/replay", "carlo-gavazzi/em24-din", "siemens/7kt1665"})
)
def test_a_meter_gives_the_six_points_that_roles_are_made_of(name: str) -> None:
    assert set(load_template(SHIPPED[name]).points) == NAMES


def test_disputed_registers_are_left_out_and_explained() -> None:
    template = load_template(SHIPPED["carlo-gavazzi/em24-din"])
    assert "energy_import" not in template.points
    assert any("62" in note and "66" in note for note in template.notes)


@pytest.mark.parametrize("name", SHIPPED)
def test_energies_count_and_convert_to_kwh(name: str) -> None:
    for point, keys in load_template(SHIPPED[name]).points.items():
        if point.startswith("energy"):
            assert keys["kind"] == "counter"
            assert conversion(str(keys["unit"]), "kWh").factor > 0


def test_a_template_is_read_into_plain_values(tmp_path: Path) -> None:
    template: Template = load_template(write(tmp_path, GOOD))
    assert template.name == "acme/m1"
    assert template.points == {
        "power": {"register": 0, "type": "i16", "unit": "W", "quantity": "electric_power"}
    }
    assert type(template.points["power"]["register"]) is int


def test_templates_are_found_by_maker_and_model(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert find_templates(tmp_path) == {"acme/m1": path}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("model: M1", "modell: M1", r"m1\.yaml:2: key 'modell' is unknown"),
        ("source: the manual, page 12\n", "", r"m1\.yaml:1: 'source' is missing"),
        ("driver: modbus", "driver: modbos", r"m1\.yaml:3: driver 'modbos' is unknown"),
        (
            "verified: none",
            "verified: maybe",
            r"m1\.yaml:5: verified must be one of none, simulator, hardware",
        ),
        (
            "type: i16",
            "type: int16",
            r"m1\.yaml:9: point 'power': type 'int16' is unknown; did you mean 'i16'",
        ),
        ("register: 0", "table: holding", r"m1\.yaml:7: point 'power': write exactly one of"),
        ("unit: W", "unit: w", r"m1\.yaml:10: unit 'w' is unknown; did you mean 'W'"),
        ("unit: W\n", "description: x\n", r"m1\.yaml:8: a template's point states its unit"),
        ("quantity: electric_power", "quantity: power", r"m1\.yaml:11: quantity 'power' is unknown"),
        ("  power: {raw", "  powr: {raw", r"m1\.yaml:7: 'power' must be in both points and golden"),
        ('raw: "fff6"', 'raw: "fffx"', r"m1\.yaml:13: golden 'power' needs raw"),
        ("points:", "points: [", r"m1\.yaml:\d+: "),
        ("model: M1", "model: 1", r"m1\.yaml:2: 'model' must be a text"),
    ],
)
def test_a_wrong_template_is_refused_with_file_and_line(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    with pytest.raises(TemplateError, match=complaint):
        load_template(write(tmp_path, GOOD.replace(old, new)))


def test_an_empty_template_says_what_belongs_into_it(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"m1\.yaml:1: a template is a mapping with manufacturer"):
        load_template(write(tmp_path, ""))
