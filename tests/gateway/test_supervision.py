"""Supervision: what crashes is started again, what is stopped ends."""

from __future__ import annotations

import asyncio

from gateway.clock import SystemClock
from gateway.supervision import Supervisor


async def test_a_component_that_crashes_is_started_again_and_counted() -> None:
    supervisor = Supervisor(SystemClock(), first_s=0.001)
    calm = asyncio.Event()
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise RuntimeError("a bug")
        calm.set()
        await asyncio.Event().wait()

    supervisor.start("part", run)
    await asyncio.wait_for(calm.wait(), 2)
    await supervisor.stop("part")
    assert supervisor.crashes == {"part": 2}


async def test_a_component_hit_by_a_foreign_cancellation_does_not_end_silently() -> None:
    supervisor = Supervisor(SystemClock(), first_s=0.001)
    calm = asyncio.Event()
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            answer.cancel()
            await answer
        calm.set()
        await asyncio.Event().wait()

    supervisor.start("part", run)
    await asyncio.wait_for(calm.wait(), 2)
    await supervisor.stop_all()
    assert supervisor.crashes == {"part": 1}


async def test_a_component_that_is_stopped_ends_also_while_it_waits_to_start_again() -> None:
    supervisor = Supervisor(SystemClock(), first_s=60)

    async def run() -> None:
        raise RuntimeError("a bug")

    supervisor.start("part", run)
    await asyncio.sleep(0.01)
    await asyncio.wait_for(supervisor.stop("part"), 1)
    assert supervisor.crashes == {"part": 1}
