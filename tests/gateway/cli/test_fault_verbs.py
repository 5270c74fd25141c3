"""`heyzack simulate fault|faults|clear` against a control port."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from drivers.modbus.settings import PointSettings
from gateway.cli import main
from simulators.base import ServedPoint
from simulators.control import ControlServer
from simulators.faults import FaultBoard
from simulators.faulty_modbus import FaultyModbus


@pytest.fixture
def control() -> Iterator[str]:
    """A control port with one meter, in a thread of its own."""
    loop = asyncio.new_event_loop()
    board = FaultBoard()
    point = ServedPoint("energy", PointSettings.model_validate({"register": 0}), lambda _: 1.0, "kWh")
    FaultyModbus(board, "127.0.0.1", 0, {1: ("main-meter", [point])}, lambda: 0)
    server = ControlServer("127.0.0.1", 0, board)
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.url
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(board.close())
    loop.run_until_complete(server.stop())
    loop.close()


def heyzack(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["simulate", *arguments])
    return result.exit_code, result.output


def test_a_fault_is_set_listed_and_cleared(control: str) -> None:
    at = ("--control", control)
    assert heyzack("fault", "main-meter", "drop", "--for", "30s", *at) == (
        0,
        "fault 1 is on: main-meter drop for 30.0\n",
    )
    code, listed = heyzack("faults", "--json", *at)
    assert (code, [one["device"] for one in json.loads(listed)]) == (0, ["main-meter"])
    assert "drop" in heyzack("faults", *at)[1]
    assert heyzack("clear", "main-meter", *at) == (0, "1 cleared\n")
    assert heyzack("faults", *at) == (0, "nothing is wrong\n")


def test_what_the_device_cannot_have_is_a_usage_error_that_says_what_it_can(control: str) -> None:
    code, output = heyzack("fault", "main-meter", "lost-cov", "--control", control)
    assert code == 2
    assert "it can have clock-drift" in output


def test_nobody_there_says_how_to_start_the_simulators() -> None:
    code, output = heyzack("faults", "--control", "http://127.0.0.1:9")
    assert code == 1
    assert "heyzack demo" in output
