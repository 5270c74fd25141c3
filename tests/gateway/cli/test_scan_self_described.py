"""`heyzack scan modbus` on devices that say what they are: the map comes from their own word."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.config import check, load
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer
from tests.drivers.modbus.simulated_meter import settings


def text(value: str, words: int) -> list[int]:
    return list(struct.unpack(f">{words}H", value.encode().ljust(2 * words, b"\0")))


def sunspec_meter() -> list[int]:
    common = [1, 65, *text("SunMaker", 16), *text("SM-203", 16), *text("", 16), *text("SN7", 16), 1]
    model = [0] * 107
    model[0:2], model[18], model[22] = [203, 105], 45, 2
    return [*text("SunS", 2), *common, *model, 0xFFFF, 0]


@pytest.fixture
def port() -> Iterator[int]:
    """Unit 1: a SunSpec meter. Unit 2: it only tells its name. Served from a thread of its own."""
    import asyncio
    import time

    registers = [
        ServedPoint(f"r{n}", settings(register=40000 + n), lambda _, word=word: float(word))  # type: ignore[misc]
        for n, word in enumerate(sunspec_meter())
    ]
    named = [ServedPoint("r0", settings(register=0), lambda _: 7.0)]
    identities = {2: {0: "Acme", 1: "EM-3", 2: "V1"}}
    server = ModbusServer("127.0.0.1", 0, {1: registers, 2: named}, time.time_ns, identities=identities)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(5)
    yield server.port
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def test_a_scan_shows_what_units_say_of_themselves(port: int) -> None:
    answer = CliRunner().invoke(
        main, ["scan", "modbus", "--host", f"127.0.0.1:{port}", "--units", "1-2", "--json"]
    )
    assert answer.exit_code == 0, answer.output
    assert [unit["says"] for unit in json.loads(answer.output)] == ["SunMaker SM-203 SN7", "Acme EM-3"]


def test_a_sunspec_meter_becomes_a_device_that_runs(port: int, tmp_path: Path) -> None:
    command = ["scan", "modbus", "--host", f"127.0.0.1:{port}", "--units", "1", "--write", str(tmp_path)]
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 0, answer.output
    assert [str(problem) for problem in check(tmp_path) if problem.severity == "error"] == []
    (device,) = load(tmp_path).devices.values()
    points = {point.name: point for point in device.points}
    assert {"power", "energy_import", "voltage_l1"} <= points.keys()
    assert points["energy_import"].kind == "counter"
    assert "SunSpec models 1, 203" in next((tmp_path / "devices").glob("*.yaml")).read_text(encoding="utf-8")
