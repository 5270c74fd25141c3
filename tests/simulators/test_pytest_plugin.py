"""The fixtures for outside use, used as an outsider would: in synchronous tests."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
import urllib3

from simulators.pytest_plugin import Simulated, simulated_cloud, simulated_device, simulator_thread

__all__ = ["simulated_cloud", "simulated_device", "simulator_thread"]

FREQUENCY = bytes.fromhex("0001 0000 0006 01 03 0c25 0002")
"""Schneider iEM3155: frequency, a float, at 3109."""


def ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.settimeout(0.3)
        connection.sendall(request)
        return connection.recv(300)


def test_a_device_answers_goes_silent_and_is_well_again(simulated_device: Callable[..., Simulated]) -> None:
    meter = simulated_device("schneider/iem3155")
    assert ask(meter.port, FREQUENCY)[:9] == bytes.fromhex("0001 0000 0007 01 03 04")
    meter.fault("drop")
    with pytest.raises(TimeoutError):
        ask(meter.port, FREQUENCY)
    meter.clear()
    assert ask(meter.port, FREQUENCY)


def test_a_cloud_refuses_when_it_is_told_to(simulated_cloud: Simulated) -> None:
    write = f"{simulated_cloud.url}/api/v2/write"
    assert urllib3.request("POST", write, body=b"a v=1 1", retries=False).status == 204
    simulated_cloud.fault("exception", code=429, seconds=3)
    refused = urllib3.request("POST", write, body=b"a v=1 1", retries=False)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "3")
