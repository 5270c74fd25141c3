"""`heyzack demo` as its user runs it: one command, a whole building, nothing lost when it is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.demo.plan import make_plan
from tests.servers.process import free_port

HEADLINES = (
    "energy_savings",
    "peak_load_reduction",
    "carbon_reduction",
    "water_conservation",
    "green_energy_usage",
)


def wait_until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.2)


def gateway_of(demo: int) -> psutil.Process | None:
    """The gateway process of a running demo."""
    try:
        children = psutil.Process(demo).children()
        return next((child for child in children if "gateway" in child.cmdline()), None)
    except psutil.Error:
        return None


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_minute_of_demo_with_the_gateway_killed_in_its_middle(tmp_path: Path) -> None:
    arguments = [
        "demo",
        "--for",
        "75s",
        "--json",
        "--state",
        str(tmp_path / "state"),
        "--port",
        str(free_port()),
    ]
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: gateway_of(demo.pid) is not None, 30, "the gateway starting")
        first = gateway_of(demo.pid)
        assert first is not None
        time.sleep(15)
        first.send_signal(signal.SIGKILL)
        wait_until(lambda: gateway_of(demo.pid) not in (None, first), 20, "the gateway starting again")
        out, err = demo.communicate(timeout=150)
    finally:
        demo.kill()
    assert demo.returncode == 0, err
    figures: dict[str, Any] = json.loads(out)
    assert figures["devices_total"] == figures["devices_online"] == 15
    assert figures["points_total"] == figures["points_good"]
    assert figures["points_total"] >= 55
    assert figures["samples_committed"] > 300
    assert figures["samples_acknowledged"] == figures["samples_committed"]
    assert figures["samples_received"] == figures["samples_committed"]
    assert figures["intervals_received"] > 1_000_000
    for name in HEADLINES:
        kpi = figures["kpis"][name]
        assert isinstance(kpi["value"], float), f"{name} has no value: {kpi}"
        assert kpi["unit"] == "%"
        assert kpi["target"] is not None
        assert kpi["status"] in {"on_track", "near", "below", "exceeding"}
    automation = figures["kpis"]["automation_success"]
    assert automation["value"] is None
    assert automation["status"] == "undefined"
    assert re.search(r"importing the past", err), "progress was shown"


@pytest.mark.slow
def test_kill_9_of_the_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    arguments = ["demo", "--state", str(tmp_path / "state"), "--port", str(free_port())]
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: gateway_of(demo.pid) is not None, 30, "the gateway starting")
    time.sleep(4)
    family = psutil.Process(demo.pid).children(recursive=True)
    assert len(family) >= 2
    os.kill(demo.pid, signal.SIGKILL)
    demo.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    for left in alive:
        left.kill()
    assert alive == []


def test_dates_are_made_once_and_kept_with_the_state(tmp_path: Path) -> None:
    first = make_plan(tmp_path, date(2026, 11, 22))
    assert first.first_start
    assert (first.baseline_from, first.baseline_to, first.retrofit) == (
        date(2024, 10, 1),
        date(2025, 9, 30),
        date(2025, 10, 1),
    )
    again = make_plan(tmp_path, date(2027, 3, 1))
    assert not again.first_start
    assert again.retrofit == first.retrofit


def test_a_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plan = make_plan(tmp_path, date(2026, 11, 22), page_port=port)
    assert plan.ports["page"] != port
