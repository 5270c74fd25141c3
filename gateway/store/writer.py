"""The one thread that writes: group commits first, then what must not wait, then the long work.

A commit is due 250 ms after its first batch or at 10,000 samples, whichever comes first. *Prompt* work is
short (a sink's progress, records). *Background* work is a generator that yields where it may be left for a
while; at most one runs at a time, housekeeping is one of them, and it gets a step whenever no commit is due.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, TypeVar

from drivers.base import Batch
from gateway.store.errors import StoreClosedError

log = logging.getLogger(__name__)
T = TypeVar("T")

COMMIT_S = 0.25
COMMIT_SAMPLES = 10_000
HOUSEKEEPING_S = 1.0
Work = Iterator[None]


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    future: Future[int]


@dataclass(slots=True)
class _Background:
    work: Work
    future: Future[None]
    started: bool = False


class Writer:
    """Runs commits, prompt and background work on a thread of its own."""

    def __init__(
        self,
        commit: Callable[[list[Batch]], int],
        housekeeping: Callable[[], Work | None],
        commit_s: float = COMMIT_S,
    ) -> None:
        """commit: makes batches durable, gives their seq. housekeeping: asked for work each second."""
        self._commit = commit
        self._commit_s = commit_s
        self._housekeeping = housekeeping
        self._changed = Condition()
        self._batches: list[_Waiting] = []
        self._samples = 0
        self._commit_due = 0.0
        self._prompt: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._background: deque[_Background] = deque()
        self._chores: Work | None = None
        self._chores_due = time.monotonic() + HOUSEKEEPING_S
        self._closing = False
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, batch: Batch) -> Future[int]:
        """Queue a batch for the next commit; the future gives its seq. Raises StoreClosedError."""
        future: Future[int] = Future()
        with self._changed:
            self._refuse_when_closed()
            if not self._batches:
                self._commit_due = time.monotonic() + self._commit_s
            before = self._samples
            self._batches.append(_Waiting(batch, future))
            self._samples += len(batch)
            if len(self._batches) == 1 or before < COMMIT_SAMPLES <= self._samples:
                self._changed.notify()
        return future

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Run something short on the writer's thread. Raises StoreClosedError."""
        future: Future[T] = Future()
        with self._changed:
            self._refuse_when_closed()
            self._prompt.append((work, future))
            self._changed.notify()
        return future

    def call_later(self, work: Work) -> Future[None]:
        """Run something long in steps, after what was queued before. Raises StoreClosedError."""
        future: Future[None] = Future()
        with self._changed:
            self._refuse_when_closed()
            self._background.append(_Background(work, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Finish all that is queued, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _refuse_when_closed(self) -> None:
        if self._closing:
            raise StoreClosedError("the store is closed")

    def _run(self) -> None:
        while self._wait():
            self._run_prompt()
            if self._is_commit_due():
                self._run_commit()
            self._run_background()

    def _wait(self) -> bool:
        """Wait for something to do; False when closed and everything is done."""
        with self._changed:
            while not self._has_work():
                if self._closing:
                    return False
                until = self._chores_due
                if self._batches:
                    until = min(until, self._commit_due)
                self._changed.wait(max(0.0, until - time.monotonic()))
            return True

    def _has_work(self) -> bool:
        if self._prompt or self._background or (self._chores is not None and not self._closing):
            return True
        if self._batches and self._closing:
            return True
        return self._is_commit_due() or (not self._closing and time.monotonic() >= self._chores_due)

    def _is_commit_due(self) -> bool:
        if not self._batches:
            return False
        return self._closing or self._samples >= COMMIT_SAMPLES or time.monotonic() >= self._commit_due

    def _run_prompt(self) -> None:
        while self._prompt:
            work, future = self._prompt.popleft()
            _resolve(future, work)

    def _run_commit(self) -> None:
        with self._changed:
            waiting, self._batches = self._batches, []
            self._samples = 0
        try:
            seq = self._commit([one.batch for one in waiting])
        except Exception as error:
            log.exception("a commit failed")
            for one in waiting:
                if one.future.set_running_or_notify_cancel():
                    one.future.set_exception(error)
            return
        for one in waiting:
            if one.future.set_running_or_notify_cancel():
                one.future.set_result(seq)

    def _run_background(self) -> None:
        if self._may_start_chores():
            self._chores_due = time.monotonic() + HOUSEKEEPING_S
            try:
                self._chores = self._housekeeping()
            except Exception:
                log.exception("housekeeping failed")
        if self._chores is not None:
            self._step_chores()
        elif self._background:
            self._step(self._background[0])

    def _may_start_chores(self) -> bool:
        """Never beside background work that has begun: both may be at the same files."""
        busy = bool(self._background) and self._background[0].started
        return (
            self._chores is None and not busy and not self._closing and time.monotonic() >= self._chores_due
        )

    def _step_chores(self) -> None:
        """A step of housekeeping; at the end of the store it is left as it is, it can be taken up again."""
        chores = self._chores
        if chores is None:
            return
        try:
            next(chores)
            if not self._closing:
                return
        except StopIteration:
            pass
        except Exception:
            log.exception("housekeeping failed")
        self._chores = None

    def _step(self, task: _Background) -> None:
        task.started = True
        try:
            next(task.work)
            return
        except StopIteration:
            outcome: Exception | None = None
        except Exception as error:
            outcome = error
        self._background.popleft()
        if not task.future.set_running_or_notify_cancel():
            return
        if outcome is None:
            task.future.set_result(None)
        else:
            task.future.set_exception(outcome)


def _resolve(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
