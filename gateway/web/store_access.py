"""Blocking reads of the store, each in a thread with a reader of its own, a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio.to_thread import run_sync

if TYPE_CHECKING:
    from gateway.store.reader import Reader
    from gateway.web.sources import RunningGateway

T = TypeVar("T")

READERS_AT_ONCE = 4
"""More readers than cores only make each other wait, and each holds memory."""


class StoreAccess:
    """Runs functions that take a `Reader` off the event loop."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self._limiter = anyio.CapacityLimiter(READERS_AT_ONCE)

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Run `work` with a fresh reader in a thread; what it raises comes out here."""

        def in_thread() -> T:
            reader = self._gateway.reader()
            try:
                return work(reader)
            finally:
                reader.close()

        return await run_sync(in_thread, limiter=self._limiter)
