"""Sending one parcel: encode, write body by body, sift what is refused, keep dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sync.deadletter import sift
from sync.line_protocol import Encoder
from sync.outbox import DeadLetter, Outbox, Parcel
from sync.retry import NotNow
from sync.sink import Accepted, Held, RetryAfter, Sink, TooLarge, Unreachable


@dataclass(frozen=True, slots=True)
class Delivered:
    """Every line of the parcel is at the server or durably kept as a dead letter.

    reconnected: the connection broke and was replaced on the way. seconds: spent in the sink.
    """

    samples: int
    lines: int
    dead_letters: int
    reconnected: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The parcel could not be finished; nothing of it may be acknowledged."""

    outcome: NotNow


class Delivery:
    """Sends parcels to one sink. batch_lines: the most lines in a request; shrinks when a server says 413."""

    def __init__(
        self, outbox: Outbox, sink: Sink, name: str, now: Callable[[], int], batch_lines: int
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._name = name
        self._now = now
        self.batch_lines = batch_lines
        self.encoder = Encoder(outbox.tags)

    def send(self, parcel: Parcel) -> Delivered | Stopped:
        """Deliver the whole parcel or say why not."""
        begun = time.monotonic()
        lines, reconnected = 0, False
        refused: list[tuple[str, str]] = []
        for body in self.encoder.bodies(parcel, self.batch_lines):
            outcome = self._sink.write(body.data, body.lines)
            if isinstance(outcome, Held | RetryAfter | Unreachable):
                return Stopped(outcome)
            if isinstance(outcome, Accepted):
                reconnected |= outcome.reconnected
            else:
                if isinstance(outcome, TooLarge):
                    self.batch_lines = max(1, body.lines // 2)
                sifted = sift(body, outcome, self._sink.write)
                if sifted.stopped is not None:
                    return Stopped(sifted.stopped)
                refused += sifted.refused
                reconnected |= sifted.reconnected
            lines += body.lines
        self._keep(refused, parcel)
        samples = 0 if parcel.samples is None else len(parcel.samples.series)
        return Delivered(samples, lines, len(refused), reconnected, time.monotonic() - begun)

    def _keep(self, refused: list[tuple[str, str]], parcel: Parcel) -> None:
        if not refused:
            return
        at = self._now()
        self._outbox.add_dead_letters(
            [DeadLetter(self._name, parcel.first_seq, line, reason, at) for line, reason in refused]
        )
