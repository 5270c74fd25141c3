"""YAML into an Installation: what a configuration means when it is right."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest

from drivers.base import Kind
from drivers.modbus.settings import DeviceSettings, TcpLinkSettings
from gateway.config import ConfigError, Severity, check, diff, load
from gateway.site import Installation

DEMO = Path(__file__).parents[3] / "configs" / "demo"
SITE = "site: {id: office, timezone: Europe/Paris}\n"
METER = """
main-meter:
  host: 10.0.0.20
  unit_id: 3
  every: 5s
  points:
    energy: {register: 0, type: u32, scale: 0.1, unit: Wh, quantity: electric_energy, modulus: 2^32, max_rate: 50000}
    power: {register: 2, type: f32, unit: W, quantity: electric_power, every: 1s, low: 0, high: 250000}
    supply: {register: 4, type: i16, scale: 0.1, unit: degF, low: -4, high: 212}
    running: {register: 9, bit: 2, type: bit, kind: state}
"""  # noqa: E501 - as an installer writes it


def installation(folder: Path, site: str = SITE, devices: str = METER, **environ: str) -> Installation:
    (folder / "devices").mkdir(exist_ok=True)
    (folder / "site.yaml").write_text(dedent(site), encoding="utf-8")
    (folder / "devices" / "meters.yaml").write_text(dedent(devices), encoding="utf-8")
    return load(folder, environ)


@pytest.fixture
def meter(tmp_path: Path) -> Installation:
    return installation(tmp_path)


def test_a_device_with_its_own_host_has_a_link_named_after_the_endpoint(meter: Installation) -> None:
    device = meter.devices["main-meter"]
    link = meter.links[device.link]
    assert (link.name, link.driver, link.implicit) == ("10.0.0.20:502", "modbus-tcp", True)
    assert link.settings == TcpLinkSettings(host="10.0.0.20")
    assert device.settings == DeviceSettings(unit_id=3)
    assert device.address == "10.0.0.20:502, unit 3"


def test_two_devices_behind_one_host_share_the_link(tmp_path: Path) -> None:
    second = METER.replace("main-meter", "sub-meter").replace("unit_id: 3", "unit_id: 4")
    both = installation(tmp_path, devices=METER + second)
    assert len(both.links) == 1
    assert {device.link for device in both.devices.values()} == {"10.0.0.20:502"}


def test_values_limits_and_roll_over_are_in_the_canonical_unit(meter: Installation) -> None:
    energy, power, supply, _ = meter.devices["main-meter"].points
    assert (energy.unit, energy.source_unit, energy.kind) == ("kWh", "Wh", Kind.COUNTER)
    assert energy.factor == pytest.approx(0.001)
    assert energy.modulus == pytest.approx(2**32 * 0.1 * 0.001)
    assert energy.max_rate == pytest.approx(50)
    assert (power.low, power.high) == (0, pytest.approx(250))
    assert (supply.low, supply.high) == (pytest.approx(-20), pytest.approx(100))
    assert 50 * supply.factor + supply.offset == pytest.approx(10)


def test_cadence_is_the_points_own_else_the_devices(meter: Installation) -> None:
    energy, power, *_ = meter.devices["main-meter"].points
    assert (energy.every_s, power.every_s) == (5, 1)


def test_a_state_needs_no_unit(meter: Installation) -> None:
    running = meter.devices["main-meter"].points[3]
    assert (running.quantity, running.unit, running.kind) == ("state", "1", Kind.STATE)


def test_a_template_is_laid_under_the_devices_own_points(tmp_path: Path) -> None:
    site = installation(
        tmp_path,
        devices="""
        main-meter:
          host: 10.0.0.20
          template: schneider/iem3155
          points:
            power: {every: 2s, description: feed}
            voltage_l1: false
        """,
    )
    points = {point.name: point for point in site.devices["main-meter"].points}
    assert "voltage_l1" not in points
    assert (points["power"].every_s, points["power"].description, points["power"].unit) == (2, "feed", "kW")
    assert points["energy_import"].source_unit == "Wh"


def test_a_disabled_device_is_left_out(tmp_path: Path) -> None:
    assert not installation(tmp_path, devices=METER.replace("unit_id: 3", "enabled: false")).devices


def test_environment_secrets_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "influx").write_text("012345\n", encoding="utf-8")
    site = SITE + (
        "sync:\n  central: {url: 'https://${CLOUD:-a.example}', bucket: b, token: '${secret:influx}'}\n"
        "kpis: {retrofit: '${RETROFIT}', targets: {energy_savings: 25}}\n"
        "web: {listen: '127.0.0.1:${PORT:-8080}'}\n"
    )
    built = installation(tmp_path, site, PORT="9000", RETROFIT="2025-01-15")
    sink = built.sinks["central"]
    assert (sink.url, sink.token, built.web.port) == ("https://a.example", "012345", 9000)
    assert built.kpis.retrofit == date(2025, 1, 15)
    assert built.kpis.targets == {"energy_savings": 25}
    assert "012345" not in repr(built)


def test_a_secret_is_looked_for_in_the_folder_of_the_environment_first(tmp_path: Path) -> None:
    for folder, value in (("secrets", "old"), ("credentials", "new")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t").write_text(value, encoding="utf-8")
    site = SITE + "sync: {central: {url: 'https://a.example', bucket: b, token: '${secret:t}'}}\n"
    built = installation(tmp_path, site, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    assert built.sinks["central"].token == "new"


def test_all_problems_are_reported_at_once_and_load_raises_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        installation(tmp_path, "site: {id: x, timezone: Nowhere}\n", METER.replace("W,", "watt,"))
    assert [problem.code for problem in caught.value.problems] == ["unit", "value"]
    assert str(caught.value).startswith(
        str(tmp_path / "devices" / "meters.yaml") + ":8:43: point main-meter/power"
    )


def test_a_broken_device_is_not_complained_about_twice_through_its_roles(tmp_path: Path) -> None:
    roles = "roles: {site.electricity.import: main-meter/energy}\n"
    with pytest.raises(ConfigError) as caught:
        installation(tmp_path, SITE + roles, METER.replace("register: 0", "regster: 0"))
    assert {problem.code for problem in caught.value.problems} == {"unknown-key", "value"}


def test_the_demo_is_fine_without_warnings_and_is_the_building_that_is_agreed_on() -> None:
    assert check(DEMO, {}) == []
    demo = load(DEMO, {})
    assert len(demo.devices) == 15
    assert sum(len(device.points) for device in demo.devices.values()) == 58
    assert demo.roles["site.gas"].unit == "kWh"
    assert demo.roles["occupancy"].expression.names[-1] == "lobby/occupancy"
    assert not (tuple(p for p in check(DEMO, {}) if p.severity is Severity.WARNING))


def test_the_demo_follows_its_variables() -> None:
    moved = load(DEMO, {"HEYZACK_DEMO_PORT_GAS_METER": "19999", "HEYZACK_DEMO_PORT_PAGE": "0"})
    assert "127.0.0.1:19999" in moved.links
    assert moved.web.port == 0


def test_a_reload_of_the_same_files_changes_nothing(tmp_path: Path) -> None:
    assert not diff(installation(tmp_path), installation(tmp_path))


def test_a_reload_names_what_came_went_and_changed(tmp_path: Path) -> None:
    old = installation(
        tmp_path, devices=METER + METER.replace("main-meter", "b").replace("unit_id: 3", "unit_id: 4")
    )
    new = installation(
        tmp_path,
        SITE.replace("office", "tower"),
        METER.replace("every: 5s", "every: 6s") + METER.replace("main-meter", "c").replace("0.20", "0.21"),
    )
    changes = diff(old, new)
    assert (changes.devices.added, changes.devices.removed) == (("c",), ("b",))
    assert changes.devices.changed == ("main-meter",)
    assert changes.links.added == ("10.0.0.21:502",)
    assert changes.rest == ("site",)
