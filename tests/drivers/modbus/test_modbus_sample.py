"""The sample configuration is the documentation, so it is held to what the settings accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from drivers import units
from drivers.base import Point
from drivers.modbus.plan import Learned, compile_plan
from drivers.modbus.settings import DeviceSettings, PointSettings
from drivers.registry import KINDS
from drivers.templates import find_templates

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "drivers" / "modbus"
SAMPLE: dict[str, Any] = YAML(typ="safe").load((FOLDER / "sample.yaml").read_text(encoding="utf-8"))
COMMON = {"unit", "quantity", "kind"}


def points() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (d, p, keys)
        for d, device in SAMPLE["devices"].items()
        for p, keys in device.get("points", {}).items()
    ]


@pytest.mark.parametrize("name", SAMPLE["links"])
def test_its_links_are_accepted(name: str) -> None:
    keys = dict(SAMPLE["links"][name])
    KINDS[keys.pop("driver")].link_settings.model_validate(keys)


@pytest.mark.parametrize("name", SAMPLE["devices"])
def test_its_devices_are_accepted(name: str) -> None:
    device = SAMPLE["devices"][name]
    assert device["link"] in SAMPLE["links"]
    if "template" in device:
        assert device["template"] in find_templates(ROOT / "configs" / "templates")
    own = {key: value for key, value in device.items() if key in DeviceSettings.model_fields}
    assert DeviceSettings.model_validate(own).unit_id == device["unit_id"]


@pytest.mark.parametrize(("device", "name", "keys"), points())
def test_its_points_are_accepted_and_planned(device: str, name: str, keys: dict[str, Any]) -> None:
    settings = PointSettings.model_validate({key: value for key, value in keys.items() if key not in COMMON})
    unit = units.canonical_unit(keys["quantity"])
    units.conversion(keys["unit"], unit)
    point = Point(0, device, name, settings, keys["quantity"], unit, keys["unit"])
    assert len(compile_plan([point], Learned()).blocks) == 1


def test_it_shows_every_key_of_the_settings() -> None:
    """A key that the sample does not show is a key that nobody finds."""
    written = (FOLDER / "sample.yaml").read_text(encoding="utf-8")
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    models = [kind.link_settings for kind in KINDS.values() if kind.package == "modbus"]
    for model in (*models, DeviceSettings, PointSettings):
        for name, field in model.model_fields.items():
            key = field.alias or name
            assert f"{key}:" in written or f"`{key}`" in readme, f"{model.__name__}.{key} is not documented"
            assert f"`{key}`" in readme, f"{model.__name__}.{key} is missing from the README"
