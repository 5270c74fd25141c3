"""Presets: real messages of each sender become the expected points, through a real broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError
from ruamel.yaml import YAML

from drivers.base import Batch, Delivery, FaultCode
from drivers.mqtt.driver import create
from drivers.mqtt.presets import PRESETS, fill_point
from drivers.mqtt.settings import DeviceSettings, PointSettings
from drivers.units import canonical_unit, conversion
from gateway.config import load
from gateway.field import driver_device
from gateway.ingest import ConversionTable

if TYPE_CHECKING:
    from tests.drivers.mqtt.conftest import Mosquitto

CASES = Path(__file__).parents[2] / "testcases" / "mqtt"
SITE = "site: {id: s, name: S, timezone: Europe/Paris}\n"


def golden(preset: str) -> Any:
    return YAML(typ="safe").load((CASES / preset / "messages.yaml").read_text())


def publish_all(port: int, messages: list[dict[str, str]]) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for message in messages:
        client.publish(message["topic"], message["payload"], 1).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


def configuration(port: int, device: dict[str, Any]) -> str:
    text = StringIO()
    link = {"driver": "mqtt", "host": "127.0.0.1", "port": port, "client_id": "gw"}
    YAML(typ="safe").dump({"links": {"b": link}, "devices": {"sensor": {"link": "b", **device}}}, text)
    return SITE + text.getvalue()


@pytest.mark.servers
@pytest.mark.parametrize("preset", sorted(PRESETS))
async def test_messages_of_the_sender_become_the_expected_points(
    preset: str, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    from asyncio import sleep, to_thread

    case = golden(preset)
    (tmp_path / "site.yaml").write_text(configuration(mosquitto.port, case["device"]))
    installation = load(tmp_path, {})
    spec = installation.devices["sensor"]
    ids = {point.key: number for number, point in enumerate(spec.points, 1)}
    table = ConversionTable({ids[point.key]: point for point in spec.points})
    deliveries: list[Delivery] = []

    async def deliver(delivery: Delivery) -> None:
        deliveries.append(delivery)
        if delivery.committed is not None:
            delivery.committed()

    driver = create("b", installation.links["b"].settings, time.time_ns)
    await driver.open(deliver)
    try:
        await driver.assign([driver_device(spec, ids)])
        await _until(lambda: driver._fault is None)
        await sleep(0.1)
        await to_thread(publish_all, mosquitto.port, case["messages"])
        wanted = len(case["expected"])
        await _until(lambda: len({s for d in deliveries for s in d.batch.series.tolist()}) == wanted)
        if "offline" in case:
            await to_thread(publish_all, mosquitto.port, [case["offline"]])
            await _until(lambda: deliveries[-1].fault is not None)
    finally:
        await driver.close()
    if "offline" in case:
        gone = deliveries.pop().fault
        assert gone is not None
        assert gone.code is FaultCode.NO_ANSWER
        assert case["offline"]["topic"] in gone.detail
    batch = table.convert(Batch.concat([delivery.batch for delivery in deliveries]))
    rows = {series: row for row, series in enumerate(batch.series.tolist())}
    for point in spec.points:
        expected, row = case["expected"][point.name], rows[ids[point.key]]
        assert (batch.value[row], point.unit) == (pytest.approx(expected["value"]), expected["unit"])
        assert batch.quality[row] == 0
        if "time" in expected:
            at = datetime.fromtimestamp(int(batch.time[row]) // 1000 / 1e6, UTC)
            assert at == datetime.fromisoformat(expected["time"])


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_preset_is_made_of_keys_and_units_that_exist(preset: str) -> None:
    device = DeviceSettings.model_validate({"preset": preset})
    for name, keys in PRESETS[preset].points.items():
        source = {k: v for k, v in keys.items() if k not in ("unit", "quantity", "kind")}
        point = PointSettings.model_validate(source)
        assert "{" not in device.resolve(point.topic or device.topic or "", "d", name)
        if "unit" in keys:
            conversion(keys["unit"], canonical_unit(keys["quantity"]))


def test_what_a_point_says_itself_goes_before_the_preset() -> None:
    assert fill_point("zigbee2mqtt", "temperature", {"unit": "degF"}) == {
        "json": "temperature",
        "quantity": "temperature",
    }
    assert "json" not in fill_point("zigbee2mqtt", "temperature", {"csv": 2})


def test_unknown_preset_is_told_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="one of zigbee2mqtt, shelly-gen2"):
        DeviceSettings.model_validate({"preset": "zigbee"})


async def _until(condition: Any) -> None:
    from asyncio import sleep

    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await sleep(0.02)
