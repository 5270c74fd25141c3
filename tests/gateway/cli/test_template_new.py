"""`heyzack template new`: from a device that answers to a template that can be used at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drivers.modbus.settings import PointSettings
from drivers.templates import load_template
from gateway.cli import main
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer


def heyzack(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def meter(serve: Callable[..., None]) -> ModbusServer:
    def point(name: str, value: float, **settings: object) -> ServedPoint:
        return ServedPoint(name, PointSettings.model_validate(settings), lambda _: value)

    points = [
        point("volume", 4321.987, register=0, type="u32", scale=0.001, order="CDAB"),
        point("flow", 2.5, register=2, type="f32"),
    ]
    server = ModbusServer("127.0.0.1", 0, {1: points}, time.time_ns)
    serve(server)
    return server


def site(folder: Path, port: int) -> str:
    (folder / "site.yaml").write_text(
        f"""
site: {{id: office, timezone: Europe/Paris}}
devices:
  water:
    host: 127.0.0.1
    port: {port}
    points:
      volume: {{register: 0, type: u32, scale: 0.001, order: CDAB, unit: m3}}
      flow: {{register: 2, type: f32, unit: m3/h}}
""",
        encoding="utf-8",
    )
    return str(folder)


def test_a_device_becomes_a_template_with_golden_frames(meter: ModbusServer, tmp_path: Path) -> None:
    made = heyzack(
        "template", "new", "Acme/W100", "--config", site(tmp_path, meter.port), "--device", "water"
    )
    assert made.exit_code == 0, made.output
    path = tmp_path / "templates" / "acme" / "w100.yaml"
    template = load_template(path)
    assert template.golden["volume"].value == pytest.approx(4321.987)
    assert template.golden["volume"].raw.hex() == "f2c30041"
    assert heyzack("template", "check", str(path)).exit_code == 0


def test_a_table_becomes_a_template(meter: ModbusServer, tmp_path: Path) -> None:
    table = tmp_path / "map.csv"
    table.write_text(
        "device;device.host;device.port;point;register;type;scale;order;unit\n"
        f"water;127.0.0.1;{meter.port};volume;0;u32;0,001;CDAB;m3\n",
        encoding="utf-8",
    )
    made = heyzack("template", "new", "acme/w100", "--config", str(tmp_path), "--csv", str(table))
    assert made.exit_code == 0, made.output
    assert set(load_template(tmp_path / "templates" / "acme" / "w100.yaml").points) == {"volume"}


def test_a_golden_frame_that_does_not_decode_is_found(meter: ModbusServer, tmp_path: Path) -> None:
    heyzack("template", "new", "acme/w100", "--config", site(tmp_path, meter.port), "--device", "water")
    path = tmp_path / "templates" / "acme" / "w100.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("value: 2.5", "value: 25"), encoding="utf-8")
    checked = heyzack("template", "check", str(path))
    assert checked.exit_code == 1
    assert "reads as 2.5, not 25" in checked.stdout
