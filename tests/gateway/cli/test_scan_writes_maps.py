"""`heyzack scan --write`: from an empty folder to a configuration that reads right."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drivers.modbus.settings import PointSettings
from drivers.templates import load_template
from gateway.cli import main
from gateway.config import load
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer

TEMPLATES = Path(__file__).parents[3] / "configs" / "templates"
METERS = (
    "abb/b23", "eastron/sdm630", "schneider/iem3155", "carlo-gavazzi/em24-e1", "carlo-gavazzi/em24-din",
    "janitza/umg96rm-e", "schneider/pm5110", "siemens/pac2200", "siemens/7kt1665", "socomec/countis-e24",
)  # fmt: skip
Serve = Callable[..., None]


def heyzack(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def constant(value: float) -> Callable[[int], float]:
    return lambda _: value


def templated(name: str) -> ModbusServer:
    """A meter of a known model that shows its golden values."""
    template = load_template(TEMPLATES / f"{name}.yaml")
    points = [
        ServedPoint(point, settings, constant(template.golden[point].value))
        for point, settings in template.settings.items()
    ]
    return ModbusServer("127.0.0.1", 0, {1: points}, time.time_ns)


def homemade() -> ModbusServer:
    """A water meter that no template knows."""
    volume = PointSettings.model_validate({"register": 0, "type": "u32", "scale": 0.001})
    flow = PointSettings.model_validate({"register": 2, "type": "f32"})
    return ModbusServer(
        "127.0.0.1", 0,
        {1: [ServedPoint("volume", volume, constant(4321.987)), ServedPoint("flow", flow, constant(2.37))]},
        time.time_ns,
    )  # fmt: skip


def test_every_template_is_recognised_by_its_values(serve: Serve, tmp_path: Path) -> None:
    servers = {name: templated(name) for name in METERS}
    serve(*servers.values())
    hosts = [arg for server in servers.values() for arg in ("--host", f"127.0.0.1:{server.port}")]
    scanned = heyzack("scan", "modbus", *hosts, "--units", "1-2", "--write", str(tmp_path), "--json")
    assert scanned.exit_code == 0, scanned.output
    found = {row["at"]: row["template"] for row in json.loads(scanned.stdout)}
    assert found == {f"127.0.0.1:{server.port}": name for name, server in servers.items()}
    installation = load(tmp_path)
    assert {device.template for device in installation.devices.values()} == set(METERS)
    tested = heyzack("test", "--config", str(tmp_path), "--json")
    assert tested.exit_code == 0, tested.output


def test_an_unknown_meter_becomes_commented_candidates(serve: Serve, tmp_path: Path) -> None:
    server = homemade()
    serve(server)
    scanned = heyzack("scan", "modbus", "--host", f"127.0.0.1:{server.port}", "--units", "1",
                      "--write", str(tmp_path))  # fmt: skip
    assert scanned.exit_code == 0, scanned.output
    text = (tmp_path / "devices" / "modbus.yaml").read_text(encoding="utf-8")
    assert "r0: {register: 0, type: u32" in text
    assert "r2: {register: 2, type: f32" in text
    assert all(line.startswith("#") for line in text.splitlines() if line)
    lines = text.splitlines()
    block = lines[next(at for at, line in enumerate(lines) if line.startswith("# meter-")) :]
    (tmp_path / "devices" / "modbus.yaml").write_text("\n".join(line[2:] for line in block), encoding="utf-8")
    confirmed = load(tmp_path).devices
    assert [len(device.points) for device in confirmed.values()] == [2]
    assert heyzack("test", "--config", str(tmp_path)).exit_code == 0


def test_a_file_that_is_there_is_not_overwritten_without_force(serve: Serve, tmp_path: Path) -> None:
    server = templated("eastron/sdm630")
    serve(server)
    scan = ("scan", "modbus", "--host", f"127.0.0.1:{server.port}", "--units", "1", "--write", str(tmp_path))
    assert heyzack(*scan).exit_code == 0
    file = tmp_path / "devices" / "modbus.yaml"
    file.write_text("# mine\n", encoding="utf-8")
    again = heyzack(*scan)
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert file.read_text(encoding="utf-8") == "# mine\n"
    assert heyzack(*scan, "--force").exit_code == 0
    assert "eastron/sdm630" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("units", ["x", "1-300"])
def test_unit_ids_that_are_none_are_refused(units: str) -> None:
    assert heyzack("scan", "modbus", "--host", "127.0.0.1", "--units", units).exit_code == 2
