"""Supervision: a component that crashes is logged, counted and started again, ever less eagerly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.clock import Clock

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Supervisor:
    """Runs components until it is stopped. crashes: component -> how often it had to be started again."""

    clock: Clock
    first_s: float = 0.5
    longest_s: float = 30.0
    calm_s: float = 60.0
    """A component that ran this long without a crash starts its backoff anew."""
    crashes: dict[str, int] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep `run()` running under this name."""
        if name in self._tasks:
            raise ValueError(f"component {name} runs already")
        self._tasks[name] = asyncio.create_task(self._keep(name, run), name=name)

    async def stop(self, name: str) -> None:
        """End one component and wait for it."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop_all(self) -> None:
        """End all components, all at once, and wait for them."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        wait_s = self.first_s
        while True:
            started = self.clock.monotonic()
            try:
                await run()
                return
            except (Exception, asyncio.CancelledError):
                if _is_being_cancelled():
                    raise
                self.crashes[name] = self.crashes.get(name, 0) + 1
                if self.clock.monotonic() - started > self.calm_s:
                    wait_s = self.first_s
                log.exception("%s crashed (%d so far); again in %.1f s", name, self.crashes[name], wait_s)
            await self.clock.sleep_until(self.clock.monotonic() + wait_s)
            wait_s = min(2 * wait_s, self.longest_s)


def _is_being_cancelled() -> bool:
    """Whether the running task itself is to end; a future that others cancelled is a crash like any."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
