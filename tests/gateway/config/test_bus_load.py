"""Polling more than a serial line can carry is found before anything is polled."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.base import Point
from drivers.modbus.busload import poll_seconds
from drivers.modbus.settings import DeviceSettings, PointSettings, RtuLinkSettings
from gateway.config import check
from gateway.config.errors import Problem, Severity

SITE = """\
site: {{id: bus, timezone: UTC}}
links:
  riser: {{driver: modbus-rtu, port: /dev/ttyUSB0, baudrate: {baudrate}{more}}}
devices:
{devices}
"""
DEVICE = """\
  meter-{n}:
    link: riser
    unit_id: {n}
    every: {every}
    points:
      power: {{register: 0, type: f32, unit: W, quantity: electric_power}}
      energy: {{register: {far}, type: f32, unit: Wh, quantity: electric_energy}}
"""


def problems(
    folder: Path, every: list[str], baudrate: int = 9600, more: str = "", far: int = 100
) -> list[Problem]:
    devices = "".join(DEVICE.format(n=n, every=e, far=far) for n, e in enumerate(every, 1))
    text = SITE.format(baudrate=baudrate, devices=devices, more=more)
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    return [problem for problem in check(folder) if problem.code == "bus-load"]


def read(*registers: int, line: RtuLinkSettings) -> float:
    places = [PointSettings.model_validate({"register": n}) for n in registers]
    points = [Point(0, "m", str(n), place, "", "", "") for n, place in enumerate(places)]
    return poll_seconds(points, DeviceSettings(), line)


def test_a_read_takes_its_bytes_its_silences_and_the_devices_time() -> None:
    """9600 baud, even: 11 bits a character. 8 + 5 + 20 characters, 2 x 3.5 of silence, 10 ms."""
    line = RtuLinkSettings(port="/dev/x", baudrate=9600)
    assert read(*range(10), line=line) == pytest.approx((33 + 7) * 11 / 9600 + 0.010)


def test_a_turnaround_delay_counts_where_it_is_longer_than_the_silence() -> None:
    plain = RtuLinkSettings(port="/dev/x", baudrate=9600)
    slow = RtuLinkSettings(port="/dev/x", baudrate=9600, pause=0.05)
    assert read(0, line=slow) - read(0, line=plain) == pytest.approx(0.05 - 3.5 * 11 / 9600)


def test_a_line_with_time_to_spare_is_fine(tmp_path: Path) -> None:
    assert problems(tmp_path, ["10s"] * 10) == []


def test_a_line_that_cannot_carry_its_polls_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    """Two reads of 37.5 ms for each meter and second: 19 such meters need 1.425 seconds of it."""
    (problem,) = problems(tmp_path, ["1s"] * 19)
    assert problem.severity is Severity.ERROR
    assert problem.message == "link riser: this RS-485 line needs 142% of its second"
    assert problem.hint == "poll the devices of this line every 2s instead, or raise its baudrate"


def test_the_device_that_needs_most_is_named_with_a_period_that_fits(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, ["1s", "1s", "50ms"])
    assert "needs 165% of its second" in problem.message
    assert problem.hint == "poll meter-3 every 1s instead"
    assert problem.line == 22, "where its 'every' is written"
    assert problems(tmp_path, ["1s", "1s", "1s"]) == []


def test_a_busy_line_is_a_warning(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, ["1s"] * 12)
    assert problem.severity is Severity.WARNING
    assert "90%" in problem.message


def test_a_faster_line_carries_more(tmp_path: Path) -> None:
    assert problems(tmp_path, ["1s"] * 24, baudrate=115200) == []


def test_tcp_links_are_not_counted(tmp_path: Path) -> None:
    text = SITE.format(baudrate=300, devices="", more="").replace("devices:\n", "")
    device = "devices:\n  m: {host: a, every: 1ms, points: {p: {register: 0, unit: W}}}\n"
    (tmp_path / "site.yaml").write_text(text + device, encoding="utf-8")
    assert [problem for problem in check(tmp_path) if problem.code == "bus-load"] == []
