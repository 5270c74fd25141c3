"""The KPI worker process: `python -m gateway.kpi.worker`, frames on stdin and stdout.

It lives as long as its stdin: a thread reads it, so that the end of the gateway, even by kill -9, ends the
worker in the middle of a computation too.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from typing import BinaryIO

from analytics.warm import warm
from gateway.kpi.messages import Done, FromWorker, Ready, Refresh, SiteModel, ToWorker, frame, read_to_worker
from gateway.kpi.session import Session
from gateway.store.reader import Reader

log = logging.getLogger(__name__)

NICENESS = 10


class _Output:
    """The gateway's ear. A broken pipe means that nobody listens any more."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def send(self, message: FromWorker) -> None:
        try:
            self._stream.write(frame(message))
            self._stream.flush()
        except BrokenPipeError:
            os._exit(0)


def main() -> None:
    """Serve until stdin ends."""
    os.nice(NICENESS)
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the gateway, which ends us by our stdin
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="kpi worker: %(message)s")
    output = _Output(sys.stdout.buffer)
    inbox: queue.Queue[ToWorker] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, inbox), daemon=True).start()
    warm()
    output.send(Ready(os.getpid()))
    session: Session | None = None
    while True:
        message = inbox.get()
        if isinstance(message, SiteModel):
            session = Session(message)
        elif session is not None:
            output.send(_refresh(session, message, output))


def _refresh(session: Session, request: Refresh, output: _Output) -> Done:
    started = time.perf_counter()
    error = ""
    try:
        with Reader(session.store) as reader:
            session.refresh(reader, request, output.send)
    except Exception as problem:
        # The next refresh reads everything again; a worker that dies here would only do the same, later.
        log.exception("the refresh failed")
        error = f"{type(problem).__name__}: {problem}"
    return Done(time.perf_counter() - started, error)


def _listen(stream: BinaryIO, inbox: queue.Queue[ToWorker]) -> None:
    while (message := read_to_worker(stream)) is not None:
        inbox.put(message)
    os._exit(0)


if __name__ == "__main__":
    main()
