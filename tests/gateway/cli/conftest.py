"""Simulated equipment beside the command line: served from a thread, because verbs run loops of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import pytest


class Server(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


Serve = Callable[..., None]


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="equipment", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(server, ...): start servers on a loop of their own, stopped at the end of the test."""
    with ExitStack() as stack:
        loop = stack.enter_context(_loop_in_thread())

        def wait(task: Coroutine[Any, Any, None]) -> None:
            asyncio.run_coroutine_threadsafe(task, loop).result(20)

        def stop(server: Server) -> None:
            wait(server.stop())

        def start(*servers: Server) -> None:
            for server in servers:
                wait(server.start())
                stack.callback(stop, server)

        yield start
