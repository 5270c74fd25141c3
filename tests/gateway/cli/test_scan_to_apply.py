"""From an empty folder to a running configuration of a building nobody has seen, by commands alone."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from simulators.demo import resolve_ports, wire_map

ROOT = Path(__file__).parents[3]
SEED = "90210"


def heyzack(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def free_ports(count: int) -> list[int]:
    """Free for TCP and UDP at this moment."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in found:
                found.append(port)
    return found


@pytest.fixture
def building(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The simulated building in a process of its own; its ports by device."""
    names = resolve_ports()
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    folder = tmp_path_factory.mktemp("outside")
    command = [sys.executable, "-m", "simulators", "--seed", SEED, "--retrofit", "2025-01-15",
               "--ports", json.dumps(ports), "--state", str(folder)]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield ports
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.timeout(120)
def test_an_unseen_building_is_scanned_linted_and_valid(building: dict[str, int], tmp_path: Path) -> None:
    began = time.monotonic()
    site, wire = str(tmp_path), wire_map(building)
    at = {(row["protocol"], row["port"]) for row in wire}
    modbus = [
        arg for kind, port in sorted(at) if kind == "modbus-tcp" for arg in ("--host", f"127.0.0.1:{port}")
    ]
    bacnet = [arg for kind, port in sorted(at) if kind == "bacnet" for arg in ("--ask", f"127.0.0.1:{port}")]
    [own] = free_ports(1)
    for scan in (
        ("modbus", *modbus, "--units", "1"),
        ("bacnet", "--address", "127.0.0.1/8", "--port", str(own), *bacnet, "--wait", "1s"),
        ("mqtt", "--broker", f"127.0.0.1:{building['mqtt']}", "--wait", "12s"),
    ):
        scanned = heyzack("scan", *scan, "--write", site)
        assert scanned.exit_code == 0, scanned.output
    text = (tmp_path / "devices" / "modbus.yaml").read_text(encoding="utf-8")
    unknown = [row for row in wire if row["protocol"] == "modbus-tcp" and not row["template"]]
    assert all(f"# meter-{row['port']}-1:" in text for row in unknown)
    assert heyzack("validate", site).exit_code == 0
    listed = json.loads(heyzack("points", "--config", site, "--json").stdout)
    known = [row for row in wire if row not in unknown]
    assert len(correct_points(listed, wire)) == len(known)
    polled = {p["device"] for p in listed if {"object", "register", "address"} & set(p["source"])}
    chosen = [arg for name in sorted(polled) for arg in ("--device", name)]
    linted = heyzack("lint", "--config", site, "--for", "3s", "--every", "1s", "--json", *chosen)
    found = {finding["code"] for finding in json.loads(linted.stdout)["findings"]}
    assert found <= {"constant", "frozen"}
    assert time.monotonic() - began < 60


def correct_points(listed: list[dict[str, object]], wire: list[dict[str, object]]) -> list[object]:
    """Points of the wire whose unit and place the device map has right."""
    from drivers.modbus.settings import PointSettings

    def place(row: dict[str, object], source: dict[str, object]) -> tuple[object, ...]:
        if row.get("protocol") == "modbus-tcp" or "register" in source:
            settings = PointSettings.model_validate(source)
            return (settings.space, settings.start, settings.decoded_type, settings.order, settings.scale)
        return tuple(sorted((str(k), str(v)) for k, v in source.items() if k in ("object", "json")))

    found = {(place(row, row["source"]), unit_of(row["source_unit"])) for row in listed}  # type: ignore[arg-type]
    return [r for r in wire if (place(r, r["address"]), unit_of(r["unit"])) in found]  # type: ignore[arg-type]


def unit_of(unit: object) -> str:
    """People are counted in ones."""
    return {"people": "1"}.get(str(unit), str(unit))
