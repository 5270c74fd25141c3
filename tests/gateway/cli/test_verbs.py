"""The verbs of `heyzack` that need no running gateway, and what they say when one is missing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway import __version__
from gateway.cli import VERBS, main

ROOT = Path(__file__).parents[3]
DEMO = str(ROOT / "configs" / "demo")
REPLAY = "time,power_kw\n" + "".join(f"2024-01-01T{hour:02}:00:00Z,{10 + hour}\n" for hour in range(24))


def heyzack(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def simulated_meter(folder: Path, *arguments: str) -> Iterator[int]:
    """`heyzack simulate modbus` in a process of its own; its port."""
    recording = folder / "load.csv"
    recording.write_text(REPLAY, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "gateway",
        "simulate",
        "modbus",
        "--replay",
        str(recording),
        "--port",
        "0",
    ]
    process = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        word, _, figures = process.stdout.readline().partition(" ")
        assert word == "ready"
        yield json.loads(figures)["port"]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def site_with_meter(folder: Path, port: int) -> str:
    (folder / "site.yaml").write_text(
        f"""
site: {{id: office, timezone: Europe/Paris}}
devices:
  meter: {{host: 127.0.0.1, port: {port}, timeout: 500ms, template: heyzack/replay}}
""",
        encoding="utf-8",
    )
    return str(folder)


def test_every_verb_is_listed_and_explains_itself() -> None:
    assert all(verb in heyzack("--help").stdout for verb in VERBS)
    for verb in VERBS:
        result = heyzack(verb, "--help")
        assert result.exit_code == 0, result.output
        assert "Usage" in result.stdout


def test_the_version_is_the_packages() -> None:
    assert heyzack("--version").stdout == f"heyzack, version {__version__}\n"


def test_a_misspelt_verb_is_corrected() -> None:
    result = heyzack("valdate")
    assert result.exit_code == 2
    assert "did you mean 'validate'?" in result.stderr


def test_validate_loads_neither_protocol_stacks_nor_numba_nor_the_page() -> None:
    script = (
        "import sys; from gateway.cli import main\n"
        f"try: main(['validate', {DEMO!r}])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'BAC0', 'bacpypes3', 'numba', 'fastapi', 'uvicorn', 'pymodbus', 'paho'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_config_show_masks_secrets_and_replaces_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "influx").write_text("s3cret", encoding="utf-8")
    (tmp_path / "site.yaml").write_text(
        "site: {id: office, timezone: Europe/Paris, name: '${HEYZACK_TEST_NAME}'}\n"
        "sync:\n  a: {url: 'https://x.example', bucket: b, token: '${secret:influx}'}\n"
        "  b: {url: 'https://x.example', bucket: b, token: plain}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("HEYZACK_TEST_NAME", "Tower")
    shown = json.loads(heyzack("config", "show", "--config", str(tmp_path), "--json").stdout)
    assert shown["site"]["name"] == "Tower"
    assert {sink["token"] for sink in shown["sync"].values()} == {"********"}
    text = heyzack("config", "show", "--config", str(tmp_path)).stdout
    assert "s3cret" not in text
    assert "plain" not in text


def test_config_schema_knows_every_section_driver_and_point_key() -> None:
    schema = json.loads(heyzack("config", "schema").stdout)
    assert set(schema["properties"]) == {
        "site", "links", "devices", "roles", "zones", "kpis", "store", "sync", "web",
    }  # fmt: skip
    drivers = [
        link["properties"]["driver"]["const"]
        for link in schema["properties"]["links"]["additionalProperties"]["oneOf"]
    ]
    assert drivers == ["modbus-tcp", "modbus-rtu", "bacnet", "mqtt"]
    device = schema["properties"]["devices"]["additionalProperties"]["properties"]
    point = device["points"]["additionalProperties"]["anyOf"][0]["properties"]
    assert {"register", "object", "json", "unit", "every", "modulus"} <= set(point)
    assert {"host", "unit_id", "device_instance", "topic", "template"} <= set(device)


def test_config_diff_tells_what_a_reload_would_do(tmp_path: Path) -> None:
    for name, port in (("old", 1502), ("new", 1503)):
        (tmp_path / name).mkdir()
        site_with_meter(tmp_path / name, port)
    result = heyzack("config", "diff", str(tmp_path / "old"), str(tmp_path / "new"))
    assert result.exit_code == 1
    assert "+ links: 127.0.0.1:1503" in result.stdout.splitlines()
    assert "~ devices: meter" in result.stdout.splitlines()
    assert heyzack("config", "diff", str(tmp_path / "old"), str(tmp_path / "old")).stdout == "no difference\n"


def test_points_lists_every_configured_point_and_role() -> None:
    rows = json.loads(heyzack("points", "--config", DEMO, "--json").stdout)
    assert len(rows) == 58 + 7
    flow = next(row for row in rows if row["point"] == "flow")
    assert (flow["device"], flow["unit"], flow["source"]["register"]) == ("water-meter", "m3/h", 2)


def test_an_unknown_device_is_refused_with_a_suggestion() -> None:
    for verb in ("points", "test"):
        result = heyzack(verb, "--config", DEMO, "--device", "water-metre")
        assert result.exit_code == 2
        assert "did you mean 'water-meter'?" in result.stderr


@pytest.mark.parametrize("arguments", [("status",), ("points", "--live"), ("config", "reload")])
def test_without_a_running_gateway_the_answer_says_so(arguments: tuple[str, ...]) -> None:
    result = heyzack(*arguments, "--config", DEMO, "--url", f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_an_empty_store_has_no_kpis_and_no_figures(tmp_path: Path) -> None:
    config = site_with_meter(tmp_path, 1502)
    assert heyzack("kpi", "list", "--config", config, "--json").stdout == "[]\n"
    assert heyzack("kpi", "list", "--config", config).exit_code == 1
    result = heyzack("store", "stats", "--config", config)
    assert result.exit_code == 1
    assert "there is no store" in result.stderr


def test_shipped_templates_are_listed_and_pass_their_check() -> None:
    names = [
        row["template"] for row in json.loads(heyzack("template", "list", "--config", DEMO, "--json").stdout)
    ]
    assert {"schneider/iem3155", "abb/b23", "eastron/sdm630", "heyzack/replay"} <= set(names)
    assert heyzack("template", "check").exit_code == 0


def test_the_wire_map_has_an_endpoint_for_every_device() -> None:
    devices = {row["device"]: row for row in json.loads(heyzack("simulate", "--list", "--json").stdout)}
    assert len(devices) == 15
    assert (devices["gas-meter"]["port"], devices["gas-meter"]["unit_id"]) == (15025, 1)
    assert devices["gas-meter"]["points"][0]["source"]["order"] == "CDAB"
    assert (devices["ahu-1"]["host"], devices["ahu-1"]["port"]) == ("127.0.0.1", 47821)
    assert devices["roof"]["topic"] == "building/{device}/outdoor_temperature"


def test_a_replayed_meter_is_read_over_the_wire(tmp_path: Path) -> None:
    with simulated_meter(tmp_path) as port:
        config = site_with_meter(tmp_path, port)
        result = heyzack("test", "--config", config, "--json")
        assert result.exit_code == 0, result.output
        energy, power = sorted(json.loads(result.stdout), key=lambda reading: reading["point"])
        assert (power["value"], power["unit"], power["quality"]) == (10.0, "kW", "good")
        assert power["raw"].replace(" ", "") == "4024000000000000"
        assert 0 <= energy["value"] < 1
        read = heyzack("read", "meter/power", "--config", config)
        assert read.stdout.startswith("meter/power = 10 kW (good; device says 10 kW; raw 4024")
        scan = heyzack("scan", "modbus", "--config", config, "--units", "1-2", "--json")
        assert [unit["unit_id"] for unit in json.loads(scan.stdout)] == [1]


def test_a_meter_that_does_not_answer_makes_test_fail_and_says_why(tmp_path: Path) -> None:
    config = site_with_meter(tmp_path, free_port())
    began = time.monotonic()
    result = heyzack("test", "--config", config, "--json")
    assert result.exit_code == 1
    assert {(r["value"], r["quality"], r["fault"]) for r in json.loads(result.stdout)} == {
        (None, "comm_lost", "refused")
    }
    assert time.monotonic() - began < 10


def test_a_recording_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    recording = tmp_path / "load.csv"
    recording.write_text("time,power_kw\n2024-01-01T00:00:00Z,1\nyesterday,2\n", encoding="utf-8")
    result = heyzack("simulate", "modbus", "--replay", str(recording), "--port", "0")
    assert result.exit_code == 2
    assert "load.csv:3" in result.stderr
