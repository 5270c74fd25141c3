"""A store in a temporary folder, closed whatever happens, with a clock that the test holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.site import StoreSettings
from gateway.store.store import Store

NOON_NS = 1_760_000_000 * 1_000_000_000
"""9 October 2025, 08:53:20 UTC: the middle of a month, so that one file takes all."""

OpenStore = Callable[..., Awaitable[Store]]


class HeldClock:
    """UTC ns that moves only when told."""

    def __init__(self) -> None:
        self.now = NOON_NS

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
async def open_store(tmp_path: Path, clock: HeldClock) -> AsyncIterator[OpenStore]:
    opened: list[Store] = []

    async def opener(path: Path | None = None, **limits: int) -> Store:
        folder = path or tmp_path / "state"
        store = Store.open(
            folder, now=clock, settings=StoreSettings(folder, **limits), site="paris-hq", commit_s=0.001
        )
        opened.append(store)
        return store

    yield opener
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()
