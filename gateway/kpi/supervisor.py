"""The gateway's side of the KPI worker: a process of its own, because numba must not live in the gateway.

The worker reads the store itself and hands back what it computed; only the gateway writes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from gateway.clock import SECOND_NS, Clock
from gateway.kpi.messages import (
    ComputedIntervals,
    ComputedKpis,
    Done,
    FromWorker,
    Ready,
    Refresh,
    SiteModel,
    ToWorker,
    body_length,
    decode_from_worker,
    frame,
)
from gateway.kpi.model import site_model
from gateway.records import KpiResult
from gateway.site import Installation
from gateway.store.columns import IntervalBlock
from gateway.supervision import Supervisor

log = logging.getLogger(__name__)

COMPONENT = "kpi worker"
QUARTER_S = 900
SETTLE_S = 30.0
"""A quarter-hour is computed this long after its end: its last samples are in by then."""
STOP_S = 3.0
RETRY_S = 1.0
"""How soon a failed refresh is tried again; each further failure doubles it, up to a quarter-hour."""
BLOCKS_AT_ONCE = 128
"""Series whose new intervals are committed together: one commit each would be 20,000 on a large site, every
quarter-hour; more at once would keep samples waiting for the disk."""
BULK_ROWS = 2_000
KEPT_PERIODS = 14
"""How many periods of each KPI stay in memory for the page; the store has them all."""


class ResultStore(Protocol):
    """What the worker's results go into."""

    async def put_intervals(self, blocks: list[IntervalBlock], *, bulk: bool = False) -> Any: ...

    async def append_records(self, records: Sequence[KpiResult]) -> Any: ...


class WorkerError(Exception):
    """The worker process ended or spoke nonsense; the supervisor starts another."""


class KpiWorker:
    """Keeps one worker process busy. state: 'starting', 'warm' or 'down'. pid: of the process, None without.
    refreshes: how many succeeded.

    `use` and `request` return at once; results appear in the store and in `results`.
    """

    def __init__(self, store: ResultStore, clock: Clock, supervisor: Supervisor) -> None:
        self._store = store
        self._clock = clock
        self._supervisor = supervisor
        self._model: SiteModel | None = None
        self._told: SiteModel | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted = asyncio.Event()
        self._history_changed = False
        self._dirty: list[tuple[int, int, int]] = []
        self._results: dict[tuple[str, str, str], dict[int, KpiResult]] = {}
        self.state = "starting"
        self._failures = 0
        self.refreshes = 0
        self.last_seconds: float | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def results(self) -> tuple[KpiResult, ...]:
        """The newest periods of each (kpi, cadence, scope), oldest first."""
        return tuple(result for periods in self._results.values() for _, result in sorted(periods.items()))

    @results.setter
    def results(self, results: Iterable[KpiResult]) -> None:
        self._results = {}
        self._remember(results)

    def use(self, installation: Installation, ids: Mapping[tuple[str, str], int]) -> None:
        """Compute for this installation from now on."""
        self.use_model(site_model(installation, ids))

    def use_model(self, model: SiteModel) -> None:
        """Compute for this model from now on; the same one again changes nothing."""
        if model != self._model:
            self._model = model
            self.request()

    def request(self, history_changed: bool = False, dirty: Iterable[tuple[int, int, int]] = ()) -> None:
        """Ask for a refresh; safe from any thread. dirty: (series, start, end) [UTC ns] to compute again."""
        self._history_changed |= history_changed
        self._dirty.extend(dirty)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wanted.set)
        else:
            self._wanted.set()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._supervisor.start(COMPONENT, self._run)

    async def stop(self) -> None:
        await self._supervisor.stop(COMPONENT)

    async def _run(self) -> None:
        """One life of the worker process. Raises WorkerError when it ends, so that it is started again."""
        self.state = "starting"
        self._told = None
        self._process = await _spawn(self._model)
        try:
            await self._expect_ready()
            self.state = "warm"
            while True:
                await self._refresh()
                await self._wait_for_work()
        finally:
            self.state = "down"
            await _end(self._process)
            self._process = None

    async def _expect_ready(self) -> None:
        if not isinstance(await self._receive(), Ready):
            raise WorkerError("the worker did not begin with Ready")

    async def _wait_for_work(self) -> None:
        """Until somebody asks, the next quarter-hour has settled, or the process has died."""
        now = self._clock.now_ns()
        quarter = QUARTER_S * SECOND_NS
        settle = round(SETTLE_S * SECOND_NS)
        wait_s = ((now - settle) // quarter * quarter + quarter + settle - now) / SECOND_NS
        if self._failures:
            wait_s = min(wait_s, RETRY_S * 2.0 ** (self._failures - 1))
        process = self._living()
        waits = [
            asyncio.ensure_future(self._wanted.wait()),
            asyncio.ensure_future(self._clock.sleep_until(self._clock.monotonic() + wait_s)),
            asyncio.ensure_future(process.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if process.returncode is not None:
            raise WorkerError(f"the worker ended with code {process.returncode}")

    async def _refresh(self) -> None:
        if self._model is None:
            self._wanted.clear()
            return
        if self._told is not self._model:
            # A new model begins a new session in the worker, which has read nothing yet.
            await self._send(self._model)
            self._told = self._model
        self._wanted.clear()
        now = self._clock.now_ns()
        quarter = QUARTER_S * SECOND_NS
        request = Refresh(
            now=now,
            closed_until=(now - round(SETTLE_S * SECOND_NS)) // quarter * quarter,
            history_changed=self._history_changed,
            dirty=tuple(self._dirty),
        )
        self._history_changed, self._dirty = False, []
        done = False
        try:
            await self._send(request)
            waiting: list[IntervalBlock] = []
            while not isinstance(message := await self._receive(), Done):
                await self._take(message, waiting)
            await self._put(waiting)
            self.last_seconds = message.seconds
            done = not message.error
        finally:
            if not done:
                # What was asked for and not finished is asked for again, of another process if need be.
                self._history_changed |= request.history_changed
                self._dirty[:0] = request.dirty
        if done:
            self._failures = 0
            self.refreshes += 1
        else:
            log.error("KPIs could not be computed: %s", message.error)
            self._failures += 1
            # The worker's own state may be half changed: a new session reads the store again.
            self._told = None

    async def _take(self, message: FromWorker, waiting: list[IntervalBlock]) -> None:
        """Store what the worker found; a few intervals wait in `waiting` for those of other series."""
        if isinstance(message, ComputedIntervals):
            block = message.block()
            if len(block.intervals) > BULK_ROWS:
                await self._put(waiting)
                await self._store.put_intervals([block], bulk=True)
                return
            waiting.append(block)
            rows = sum(len(block.intervals) for block in waiting)
            if len(waiting) >= BLOCKS_AT_ONCE or rows > BULK_ROWS:
                await self._put(waiting)
        elif isinstance(message, ComputedKpis):
            await self._put(waiting)
            await self._store.append_records(message.results)
            self._remember(message.results)

    async def _put(self, waiting: list[IntervalBlock]) -> None:
        if waiting:
            await self._store.put_intervals(waiting)
            waiting.clear()

    def _remember(self, results: Iterable[KpiResult]) -> None:
        for result in results:
            periods = self._results.setdefault((result.kpi, result.cadence, result.scope), {})
            periods[result.start] = result
            while len(periods) > KEPT_PERIODS:
                del periods[min(periods)]

    async def _send(self, message: ToWorker) -> None:
        stdin = self._living().stdin
        assert stdin is not None, "spawned with a pipe"  # noqa: S101
        try:
            stdin.write(frame(message))
            await stdin.drain()
        except OSError as error:
            raise WorkerError(f"the worker does not listen: {error}") from error

    async def _receive(self) -> FromWorker:
        stdout = self._living().stdout
        assert stdout is not None, "spawned with a pipe"  # noqa: S101
        try:
            head = await stdout.readexactly(4)
            return decode_from_worker(await stdout.readexactly(body_length(head)))
        except asyncio.IncompleteReadError as error:
            raise WorkerError("the worker ended") from error

    def _living(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise WorkerError("there is no worker")
        return self._process


async def _spawn(model: SiteModel | None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.kpi.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=_environment(Path(model.store) if model else None),
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its stdin, which ends it; kill it when it does not hear."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _environment(store: Path | None) -> dict[str, str]:
    """The worker's environment: this very code, and a place for kernels that can be written."""
    environment = dict(os.environ)
    root = Path(__file__).resolve().parents[2]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), environment.get("PYTHONPATH", "")]))
    if "NUMBA_CACHE_DIR" not in environment and not _package_is_writable() and store is not None:
        environment["NUMBA_CACHE_DIR"] = str(store / "kernels")
    return environment


def _package_is_writable() -> bool:
    spec = find_spec("analytics")
    if spec is None or spec.origin is None:
        return False
    folder = Path(spec.origin).parent
    cache = folder / "__pycache__"
    return os.access(cache if cache.exists() else folder, os.W_OK)
