"""`heyzack report`: every point with its value and signature, and a signature holds for what was signed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drivers.modbus.settings import PointSettings
from gateway.cli import main
from gateway.cli.report import BROWSERS
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer

SITE = """
site: {{id: office, name: "Office <b>&</b> Co", timezone: Europe/Paris}}
devices:
  water:
    description: Cold water
    host: 127.0.0.1
    port: {port}
    timeout: 300ms
    points:
      volume: {{register: 0, type: u32, scale: {scale}, unit: m3}}
      missing: {{register: 99, unit: m3/h}}
"""


def heyzack(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def site(serve: Callable[..., None], tmp_path: Path) -> Callable[[str], str]:
    settings = PointSettings.model_validate({"register": 0, "type": "u32", "scale": 0.001})
    server = ModbusServer(
        "127.0.0.1", 0, {1: [ServedPoint("volume", settings, lambda _: 4321.987)]}, time.time_ns
    )
    serve(server)

    def written(scale: str) -> str:
        text = SITE.format(port=server.port, scale=scale)
        (tmp_path / "site.yaml").write_text(text, encoding="utf-8")
        return str(tmp_path)

    return written


def report(config: str, tmp_path: Path) -> str:
    out = tmp_path / "report.html"
    made = heyzack("report", "commissioning", "--config", config, "--out", str(out), "--force")
    assert made.exit_code == 0, made.output
    return out.read_text(encoding="utf-8")


def test_the_report_has_each_value_and_stands_alone(site: Callable[[str], str], tmp_path: Path) -> None:
    page = report(site("0.001"), tmp_path)
    assert "4321.987" in page
    assert "no_such_address" in page
    assert "2 points: 1 good, 0 signed off, 2 open." in page
    assert "Office &lt;b&gt;&amp;&lt;/b&gt; Co" in page
    assert "http" not in page
    assert "src=" not in page


def test_a_good_point_is_signed_and_a_bad_one_is_not(site: Callable[[str], str], tmp_path: Path) -> None:
    config = site("0.001")
    signed = heyzack("report", "sign", "--config", config, "--by", "J. Doe", "water/volume", "water/missing")
    assert signed.exit_code == 1
    assert "1 of 2 points signed off" in signed.stdout
    assert "water/missing" in signed.stderr
    page = report(config, tmp_path)
    assert "J. Doe, 20" in page
    assert "1 signed off, 1 open" in page


def test_a_point_that_changed_must_be_signed_again(site: Callable[[str], str], tmp_path: Path) -> None:
    heyzack("report", "sign", "--config", site("0.001"), "--by", "J. Doe", "--all-good")
    page = report(site("0.01"), tmp_path)
    assert "changed since J. Doe signed it" in page
    assert "0 signed off" in page


def test_a_report_is_not_overwritten_unasked(site: Callable[[str], str], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("mine", encoding="utf-8")
    made = heyzack("report", "commissioning", "--config", site("0.001"), "--out", str(out))
    assert made.exit_code == 1
    assert out.read_text(encoding="utf-8") == "mine"


def test_without_a_browser_the_pdf_is_refused_with_the_way_out(
    site: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    made = heyzack("report", "commissioning", "--config", site("1"), "--out", str(tmp_path / "report.pdf"))
    assert made.exit_code == 1
    assert ".html" in made.stderr


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium on this machine")
def test_the_pdf_is_printed(site: Callable[[str], str], tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    made = heyzack("report", "commissioning", "--config", site("0.001"), "--out", str(out))
    assert made.exit_code == 0, made.output
    assert out.read_bytes().startswith(b"%PDF")
