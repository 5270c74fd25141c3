"""What every benchmark shares: interleaved runs, processor time per unit of work, facts about the machine.

A shared machine is noisy: seconds from two different minutes cannot be compared. So ours and the references
take turns (A B A B ...) and the medians of the turns are compared; a ratio below 1 says that ours is cheaper.
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Protocol

import psutil

Figure = float | int | str | None | Mapping[str, float | None]
"""What a figure may be: a number, a word, None when it could not be measured, or named numbers."""

Turn = Callable[[], float]
"""One turn of a candidate: does the work and returns its cost, less is better."""

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for.

    seconds: how long timed phases last together, None for the benchmark's own choice. quick: tiny
    parameters, to see that it works; its figures mean nothing. peers: also run references that are slow.
    """

    seconds: float | None = None
    quick: bool = False
    peers: bool = False

    def duration(self, usual: float, quick: float) -> float:
        """Seconds for the timed phases."""
        return self.seconds if self.seconds is not None else quick if self.quick else usual

    def choose(self, usual: int, quick: int) -> int:
        """A size: the real one, or the tiny one of `--quick`."""
        return quick if self.quick else usual


class Benchmark(Protocol):
    """A module of this package.

    LIBRARIES: distribution names whose versions are told. run() returns the named figures and `ratios`
    {reference: ours / reference}, in the order to print.
    """

    LIBRARIES: Sequence[str]

    def run(self, options: Options) -> dict[str, Figure]: ...


def interleave(candidates: Mapping[str, Turn], rounds: int, warm_up: int = 1) -> dict[str, float]:
    """Let the candidates take turns; the median cost of each.

    Every other round runs in reverse order, so that none profits from what always precedes it. The
    `warm_up` rounds before are not counted. The garbage of one turn is collected before the next.
    """
    costs: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(-warm_up, rounds):
        for name in list(candidates)[:: 1 if number % 2 == 0 else -1]:
            gc.collect()
            cost = candidates[name]()
            if number >= 0:
                costs[name].append(cost)
    return {name: median(series) for name, series in costs.items()}


def ratios(medians: Mapping[str, float], ours: str = "ours") -> dict[str, float | None]:
    """Ours over each reference: {reference: ours / reference}; None where the reference cost nothing."""
    return {
        name: round(medians[ours] / cost, 4) if cost else None
        for name, cost in medians.items()
        if name != ours
    }


def cpu_turn(work: Callable[[], float]) -> Turn:
    """A turn that costs this process's processor seconds for each unit that `work` says it did."""

    def turn() -> float:
        start = cpu_seconds()
        return _each(work(), lambda: cpu_seconds() - start)

    return turn


def wall_turn(work: Callable[[], float]) -> Turn:
    """A turn that costs seconds of wall clock for each unit that `work` says it did."""

    def turn() -> float:
        start = time.perf_counter()
        return _each(work(), lambda: time.perf_counter() - start)

    return turn


def _each(units: float, spent: Callable[[], float]) -> float:
    seconds = spent()
    if units <= 0:
        raise RuntimeError("a turn did no work")
    return seconds / units


def cpu_seconds(pid: int | None = None) -> float:
    """User and system seconds that this process has used, or another by its pid (to a clock tick, 10 ms)."""
    if pid is None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def rss_mb(pid: int | None = None) -> float:
    """Resident memory of a process [MB = 10^6 bytes]."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


class CpuMeter:
    """Processor use of a process since this was made."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._cpu = cpu_seconds(pid)
        self._time = time.perf_counter()

    def seconds(self) -> float:
        """Processor seconds since."""
        return cpu_seconds(self._pid) - self._cpu

    def percent(self) -> float:
        """Of one core, since."""
        return 100 * self.seconds() / (time.perf_counter() - self._time)


@contextmanager
def child(module: str, *arguments: str, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module` as a process with our end of its stdin and stdout; ended when left.

    Its stderr goes to `log`, or nowhere. It gets SIGTERM and ten seconds before it is killed.
    """
    with (log or Path(os.devnull)).open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def first_line(process: subprocess.Popen[bytes], log: Path | None = None) -> str:
    """What a child says first, which is that it is ready; RuntimeError with the end of its log otherwise."""
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    if not line:
        why = log.read_text(errors="replace")[-2000:] if log is not None else ""
        raise RuntimeError(f"a process ended instead of getting ready: {process.args!r}\n{why}")
    return line.strip()


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Python and the distributions named, as installed; 'absent' says that one is not."""
    found = {"python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def machine() -> dict[str, object]:
    """Processor, cores, memory, kernel and how busy it is now (load averages of 1, 5 and 15 minutes)."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": round(psutil.virtual_memory().total / 1e6),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()
