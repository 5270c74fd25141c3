"""Pytest fixtures over the simulators, for any test suite: `pytest_plugins = ["simulators.pytest_plugin"]`.

They work in plain, synchronous tests: the equipment runs in a thread of its own and ends with the test.

    def test_my_client(simulated_device):
        meter = simulated_device("schneider/iem3155")
        assert my_client.read("127.0.0.1", meter.port) ...
        meter.fault("drop", for_s=5)
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from simulators.cloud import Receiver
from simulators.faults import FaultBoard, FaultKind, SimulatedFault
from simulators.faulty_cloud import FaultyCloud
from simulators.faulty_modbus import FaultyModbus
from simulators.models import find_model, model_points, sped_up

T = TypeVar("T")


class SimulatorThread:
    """An event loop in a thread, for equipment that a synchronous test talks to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulators", daemon=True)
        self._ends: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.board = FaultBoard(time.time_ns)
        self._thread.start()

    def run(self, task: Coroutine[Any, Any, T], timeout_s: float = 30.0) -> T:
        """Run something on the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(timeout_s)

    def serve(self, server: Any) -> None:
        """Start a server that ends with the test."""
        self.run(server.start())
        self._ends.append(server.stop)

    def close(self) -> None:
        """Stop what was started, newest first."""
        self.run(self.board.close())
        for end in reversed(self._ends):
            self.run(end())
        self.run(asyncio.sleep(0.01))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True, slots=True)
class Simulated:
    """Something that runs and can be broken. name: on the board of faults."""

    name: str
    host: str
    port: int
    thread: SimulatorThread

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def fault(self, kind: str, **keys: Any) -> int:
        """Break it (see README.md for kinds and keys); the fault's id. Raises FaultError."""
        wanted = SimulatedFault(FaultKind(kind), **keys)
        return self.thread.run(self.thread.board.set(self.name, wanted)).id

    def clear(self) -> None:
        """Put it right."""
        self.thread.run(self.thread.board.clear(self.name))


@pytest.fixture
def simulator_thread() -> Iterator[SimulatorThread]:
    """Where the other fixtures' equipment runs."""
    thread = SimulatorThread()
    yield thread
    thread.close()


@pytest.fixture
def simulated_device(simulator_thread: SimulatorThread) -> Callable[..., Simulated]:
    """simulated_device(template, unit_id=1, seed=0, speed=1.0): a Modbus TCP device on a free port."""

    def make(template: str, unit_id: int = 1, seed: int = 0, speed: float = 1.0) -> Simulated:
        board, name = simulator_thread.board, f"device-{len(simulator_thread.board.targets()) + 1}"
        points = model_points(find_model(template), seed)
        now = sped_up(time.time_ns, speed)
        endpoint = FaultyModbus(board, "127.0.0.1", 0, {unit_id: (name, points)}, now)
        simulator_thread.serve(endpoint)
        return Simulated(name, "127.0.0.1", endpoint.port, simulator_thread)

    return make


@pytest.fixture
def simulated_cloud(simulator_thread: SimulatorThread, tmp_path: Path) -> Simulated:
    """A receiver that takes what an InfluxDB takes, on a free port."""
    receiver = Receiver("127.0.0.1", 0, tmp_path / "simulated-cloud")
    FaultyCloud(simulator_thread.board, "cloud", receiver)
    simulator_thread.serve(receiver)
    return Simulated("cloud", "127.0.0.1", receiver.port, simulator_thread)
