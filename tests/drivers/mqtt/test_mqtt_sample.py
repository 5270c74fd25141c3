"""The sample configuration is the documentation, so the gateway must load it as it is."""

from __future__ import annotations

from pathlib import Path

import drivers.mqtt
from drivers.mqtt.plan import Plan
from drivers.mqtt.settings import LinkSettings
from gateway.config import load
from gateway.field import driver_device

SAMPLE = Path(drivers.mqtt.__file__).parent / "sample.yaml"
SITE = "site: {id: s, name: S, timezone: Europe/Paris}\n"


def test_sample_loads_and_subscribes_where_it_says(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE + SAMPLE.read_text())
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mqtt").write_text("hunter2")
    (tmp_path / "secrets" / "mqtt").chmod(0o600)
    installation = load(tmp_path, {})
    link = installation.links["broker"].settings
    assert isinstance(link, LinkSettings)
    assert link.endpoint == ("mqtt.example", 8883)
    assert link.password is not None
    assert link.password.get_secret_value() == "hunter2"
    keys = [point.key for device in installation.devices.values() for point in device.points]
    ids = {key: series for series, key in enumerate(keys)}
    plan = Plan([driver_device(device, ids) for device in installation.devices.values()])
    assert plan.filters == (
        "building/+/rain",
        "building/roof/outdoor_temperature",
        "building/room-101/state",
        "loggers/logger",
        "pumps/pump",
        "pumps/pump/lwt",
        "radio/radio",
        *(f"spBv1.0/plant/D{kind}/edge-1/+" for kind in ("BIRTH", "DATA", "DEATH")),
        *(f"spBv1.0/plant/N{kind}/edge-1" for kind in ("BIRTH", "DATA", "DEATH")),
        "zigbee2mqtt/Room 102/sensor",
        "zigbee2mqtt/Room 102/sensor/availability",
    )


def test_points_that_go_by_their_own_name_are_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        SITE
        + """
links: {b: {driver: mqtt, host: h}}
devices:
  press: {link: b, sparkplug: {group: g, node: n}, points: {power: {unit: kW}, running: {kind: state}}}
  plug: {link: b, points: {power: {unit: kW}, on: {kind: state}}}
"""
    )
    installation = load(tmp_path, {})
    press, plug = (installation.devices[name] for name in ("press", "plug"))
    ids = {point.key: n for n, point in enumerate((*press.points, *plug.points))}
    plan = Plan([driver_device(press, ids), driver_device(plug, ids)])
    assert {"plug/power", "plug/on", "spBv1.0/g/NDATA/n"} <= set(plan.filters)
    assert [getattr(point.source, "metric", None) for point in press.points] == ["power", "running"]
