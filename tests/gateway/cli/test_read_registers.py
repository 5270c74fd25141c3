"""`heyzack read modbus`: raw registers of a real device, and what they may mean."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from click.testing import CliRunner, Result

from drivers.modbus.settings import PointSettings
from gateway.cli import main
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer


def heyzack(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def point(name: str, value: Callable[[int], float], **settings: object) -> ServedPoint:
    return ServedPoint(name, PointSettings.model_validate(settings), value)


def meter() -> ModbusServer:
    """A meter whose counter starts at a known figure: by chance one looks right byte-swapped."""
    began = time.time_ns()
    return ModbusServer(
        "127.0.0.1",
        0,
        {
            7: [
                point("power", lambda _: 17.52, register=3059, type="f32"),
                point(
                    "energy",
                    lambda ns: float(123_456_789 + (ns - began) // 10**7),
                    register=20,
                    type="u32",
                    order="CDAB",
                ),
            ]
        },
        time.time_ns,
    )


def test_the_hex_and_the_true_decode_of_a_register_come_first(serve: Callable[..., None]) -> None:
    server = meter()
    serve(server)
    asked = ("read", "modbus", f"127.0.0.1:{server.port}", "--unit", "7", "--register", "3059")
    shown = heyzack(*asked, "--hint", "power")
    assert shown.exit_code == 0, shown.output
    assert "418c 28f6" in shown.stdout
    first = shown.stdout.splitlines()[2]
    assert "f32 ABCD" in first
    assert "17.52" in first
    found = json.loads(heyzack(*asked, "--json", "--hint", "electric_power").stdout)
    assert found[0]["decodes"][0]["type"] == "f32"


def test_an_address_off_by_one_is_read_all_the_same(serve: Callable[..., None]) -> None:
    server = meter()
    serve(server)
    shown = heyzack("read", "modbus", f"127.0.0.1:{server.port}", "--unit", "7", "--register", "3060",
                    "--hint", "power")  # fmt: skip
    assert "f32 ABCD at -1" in shown.stdout.splitlines()[2]


def test_a_second_look_settles_the_word_order_of_a_counter(serve: Callable[..., None]) -> None:
    server = meter()
    serve(server)
    shown = heyzack("read", "modbus", f"127.0.0.1:{server.port}", "--unit", "7", "--register", "20",
                    "--hint", "energy", "--again", "100ms", "--json")  # fmt: skip
    best = json.loads(shown.stdout)[0]["decodes"][0]
    assert "u32 CDAB" in {f"{best['type']} {best['order']}", *best["same"]}


def test_a_register_that_does_not_exist_is_said_so(serve: Callable[..., None]) -> None:
    server = meter()
    serve(server)
    shown = heyzack("read", "modbus", f"127.0.0.1:{server.port}", "--unit", "7", "--register", "999")
    assert shown.exit_code == 1
    assert "999" in shown.stderr


def test_a_hint_that_is_no_quantity_is_corrected() -> None:
    shown = heyzack("read", "modbus", "127.0.0.1", "--register", "1", "--hint", "tempera")
    assert shown.exit_code == 2
    assert "did you mean" in shown.stderr
