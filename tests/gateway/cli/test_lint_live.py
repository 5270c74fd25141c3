"""`heyzack lint` against a real meter that is configured wrongly."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from drivers.modbus.settings import PointSettings
from gateway.cli import main
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer

SITE = """
site: {{id: office, timezone: Europe/Paris}}
devices:
  meter:
    host: 127.0.0.1
    port: {port}
    points:
      voltage: {{register: 0, type: f32, unit: V{order}}}
      frequency: {{register: 2, type: u16, scale: {scale}, unit: Hz}}
      energy: {{register: 4, type: u32, unit: kWh}}
"""


def _wave(middle: float, ns: int) -> float:
    return middle + 0.2 * math.sin(ns / 1e8)


def meter() -> ModbusServer:
    def point(name: str, value: Callable[[int], float], **settings: object) -> ServedPoint:
        return ServedPoint(name, PointSettings.model_validate(settings), value)

    began = time.time_ns()
    return ModbusServer(
        "127.0.0.1",
        0,
        {
            1: [
                point("voltage", lambda ns: _wave(231.0, ns), register=0, type="f32", order="CDAB"),
                point("frequency", lambda ns: _wave(50.0, ns), register=2, type="u16", scale=0.01),
                point("energy", lambda ns: 90_000.0 + (ns - began) // 10**8, register=4, type="u32"),
            ]
        },
        time.time_ns,
    )


def lint(folder: Path, port: int, order: str, scale: str) -> tuple[int, dict[str, object]]:
    (folder / "site.yaml").write_text(SITE.format(port=port, order=order, scale=scale), encoding="utf-8")
    shown = CliRunner().invoke(
        main, ["lint", "--config", str(folder), "--for", "500ms", "--every", "100ms", "--json"]
    )
    return shown.exit_code, json.loads(shown.stdout)


def test_order_and_scale_are_found_wrong_and_then_right(serve: Callable[..., None], tmp_path: Path) -> None:
    server = meter()
    serve(server)
    code, wrong = lint(tmp_path, server.port, "", "0.1")
    assert code == 1
    found = {(f["point"], f["code"]) for f in wrong["findings"]}  # type: ignore[attr-defined]
    assert found == {("voltage", "wrong-order"), ("frequency", "wrong-scale")}
    code, right = lint(tmp_path, server.port, ", order: CDAB", "0.01")
    assert (code, right["findings"]) == (0, [])
