"""What is shipped: the wheel holds the packages and their data, nothing else, and runs in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port

ROOT = Path(__file__).parent.parent.parent
PACKAGES = {"gateway", "drivers", "analytics", "sync", "simulators", "configs"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The wheel installed into a folder of its own; its dependencies come from this environment."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(target), str(wheel)], check=True, capture_output=True)
    return target


def test_the_wheel_has_our_packages_and_never_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == PACKAGES


@pytest.mark.parametrize(
    "needed",
    [
        "configs/demo/site.yaml",
        "configs/templates/schneider/iem3155.yaml",
        "configs/kpis/10-energy.yaml",
        "configs/grafana/building.json",
        "configs/systemd/heyzack.service",
        "gateway/web/static/app.css",
        "gateway/web/templates/today.html",
        "gateway/web/locale/fr.json",
        "gateway/py.typed",
    ],
)
def test_the_wheel_has_its_data(wheel: Path, needed: str) -> None:
    assert needed in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_carries_its_licence(wheel: Path) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    where = subprocess.run(
        [sys.executable, "-c", "import gateway; print(gateway.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(installed)
    demo = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--for", "25s", "--json", "--port", str(free_port())],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert demo.returncode == 0, demo.stderr
    figures = json.loads(demo.stdout)
    assert figures["devices_online"] == 15
    assert figures["samples_received"] == figures["samples_committed"] > 0
