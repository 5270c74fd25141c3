"""The one writing thread: who waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from drivers.base import Batch
from gateway.store.errors import StoreClosedError
from gateway.store.writer import COMMIT_SAMPLES, Writer


class Commits:
    """Counts commits and what was in them."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, batches: list[Batch]) -> int:
        self.sizes.append(sum(len(batch) for batch in batches))
        return len(self.sizes)


def no_housekeeping() -> Iterator[None] | None:
    return None


def of(n: int) -> Batch:
    return Batch.of([1] * n, range(n), 0.0)


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def writer(commits: Commits) -> Iterator[Writer]:
    one = Writer(commits, no_housekeeping, commit_s=30.0)
    one.start()
    yield one
    one.close()


def test_a_commit_is_made_at_ten_thousand_samples_without_waiting(writer: Writer, commits: Commits) -> None:
    futures = [writer.submit(of(COMMIT_SAMPLES // 4)) for _ in range(4)]
    assert {future.result(5) for future in futures} == {1}
    assert commits.sizes == [COMMIT_SAMPLES]


def test_prompt_work_does_not_wait_for_the_commit(writer: Writer, commits: Commits) -> None:
    future = writer.submit(of(1))
    assert writer.call(lambda: "done").result(5) == "done"
    assert not future.done()


def test_a_commit_goes_between_the_steps_of_background_work(writer: Writer, commits: Commits) -> None:
    submitted = threading.Event()

    def work() -> Iterator[None]:
        submitted.wait(5)
        while not commits.sizes:
            yield

    done = writer.call_later(work())
    writer.submit(of(COMMIT_SAMPLES))
    submitted.set()
    done.result(5)
    assert commits.sizes == [COMMIT_SAMPLES]


def test_background_work_runs_one_after_the_other(writer: Writer) -> None:
    order: list[str] = []

    def work(name: str) -> Iterator[None]:
        for _ in range(3):
            order.append(name)
            yield

    first, second = writer.call_later(work("a")), writer.call_later(work("b"))
    first.result(5)
    second.result(5)
    assert order == ["a"] * 3 + ["b"] * 3


def test_a_failure_reaches_who_asked_and_nobody_else(writer: Writer, commits: Commits) -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        writer.call(fail).result(5)
    assert writer.submit(of(COMMIT_SAMPLES)).result(5) == 1


def test_a_cancelled_append_is_still_committed_with_the_others(writer: Writer, commits: Commits) -> None:
    writer.submit(of(1)).cancel()
    assert writer.submit(of(COMMIT_SAMPLES)).result(5) == 1
    assert commits.sizes == [COMMIT_SAMPLES + 1]


def test_close_finishes_what_is_queued_and_takes_nothing_more(commits: Commits) -> None:
    writer = Writer(commits, no_housekeeping, commit_s=30.0)
    writer.start()
    future = writer.submit(of(3))
    writer.close()
    assert future.result(0) == 1
    with pytest.raises(StoreClosedError):
        writer.submit(of(1))
