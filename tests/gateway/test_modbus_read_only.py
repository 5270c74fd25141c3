"""A gateway whose configuration allows no write sends no write request, whatever its equipment answers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from gateway.app import Gateway
from gateway.config import load
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer, Request
from tests.drivers.modbus.simulated_meter import settings
from tests.servers.process import free_port

READS = {1, 2, 3, 4}
SITE = """
site: {{id: read-only, timezone: UTC}}
devices:
  plc:
    host: 127.0.0.1
    port: {port}
    every: 100ms
    timeout: 200ms
    points:
      setpoint: {{register: 0, unit: degC, quantity: temperature, kind: setpoint}}
      missing: {{register: 9, unit: degC, quantity: temperature}}
      relay: {{register: 0, table: coil, kind: command}}
store: {{path: state, min_free: 1MiB}}
web: {{listen: "127.0.0.1:{page}"}}
"""


async def test_a_read_only_gateway_sends_zero_write_requests(tmp_path: Path) -> None:
    written: list[str] = []
    functions: list[int] = []
    points = [
        ServedPoint("setpoint", settings(register=0), lambda _: 21.0),
        ServedPoint("relay", settings(register=0, table="coil"), lambda _: 1.0),
    ]
    server = ModbusServer(
        "127.0.0.1", 0, {1: points}, time.time_ns, written=lambda _, name, __: written.append(name)
    )

    async def trouble(request: Request, frame: bytes | None) -> bytes | None:
        """Every kind of answer in turn: none, a hang-up, a refusal, the truth."""
        functions.append(request.function)
        turn = len(functions) % 8
        if turn == 3:
            return None
        if turn == 6:
            raise ConnectionAbortedError
        return frame

    server.tamper = trouble
    await server.start()
    (tmp_path / "site.yaml").write_text(SITE.format(port=server.port, page=free_port()), encoding="utf-8")
    gateway = Gateway(load(tmp_path))
    await gateway.start(page=False)
    try:
        await asyncio.sleep(3)
    finally:
        await gateway.stop()
        await server.stop()
    assert len(functions) > 10
    assert set(functions) <= READS
    assert written == []
