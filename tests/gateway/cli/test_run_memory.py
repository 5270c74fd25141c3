"""What a running gateway keeps for good is no work for the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.cli.run import _settle_memory


class _Node:
    """One of a cycle: only the collector frees it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_a_full_round_looks_at_nothing_of_the_configuration() -> None:
    configuration = [[number] for number in range(10_000)]
    _settle_memory()
    assert len(gc.get_objects()) < len(configuration) / 10
    assert gc.get_freeze_count() >= len(configuration)


def test_what_a_reload_replaced_is_freed_though_it_refers_to_itself() -> None:
    old = _Node()
    watch = weakref.ref(old)
    _settle_memory()
    del old
    assert watch() is not None
    _settle_memory()
    assert watch() is None
