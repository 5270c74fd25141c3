"""What the sender asks of a destination, and every answer it can get, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Accepted:
    """All lines are in the server's hands.

    reconnected: the connection had broken unannounced since the last request and was opened anew; the
    server may have restarted in between and lost what it acknowledged.
    """

    reconnected: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server refused at least one line for good; others of the body may have been stored."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The body is over the server's limit (413)."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing will be accepted until a person acts: wrong token, missing bucket, wrong address."""

    reason: str


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """The server is there but cannot take it now. seconds: when it asked to be tried again, if it said.

    failed: it is in trouble itself (5xx) and may be restarting; otherwise it only limits our rate.
    """

    seconds: float | None
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No complete answer. reason: refused, dns, timeout, certificate ..., in words."""

    reason: str


Outcome = Accepted | Rejected | TooLarge | Held | RetryAfter | Unreachable


@dataclass(frozen=True, slots=True)
class Pong:
    """The server answered. boot: names this run of its process; empty when it does not tell.

    reconnected: as in `Accepted`.
    """

    boot: str = ""
    reconnected: bool = False


class Sink(Protocol):
    """A destination. Called from one thread, blocking until its total deadline at most; never raises."""

    def write(self, body: bytes, lines: int) -> Outcome:
        """Write encoded lines; sending the same lines again stores them once."""
        ...

    def ping(self) -> Pong | Held | RetryAfter | Unreachable:
        """Ask whether the server is there, and which run of it."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
