"""When to try again, as pure decisions: no clock, no sleep, chance is given."""

from __future__ import annotations

from dataclasses import dataclass

from sync.sink import Held, Pong, RetryAfter, Unreachable

NotNow = Held | RetryAfter | Unreachable
"""The answers after which nothing more is sent for a while."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter; all in seconds.

    first, ceiling: for a server that cannot be reached or is busy. held_first, held_ceiling: for one that
    waits for a person. asked_ceiling: the longest a server's Retry-After is believed.
    """

    first: float = 0.5
    ceiling: float = 60.0
    held_first: float = 15.0
    held_ceiling: float = 300.0
    asked_ceiling: float = 3600.0

    def delay(self, outcome: NotNow, failures: int, chance: float) -> float:
        """How long to wait after the `failures`-th failure in a row (from 1) [s].

        chance: uniform in [0, 1). Half of a computed delay is jitter, so that a hundred gateways that lost
        one server do not return together; what the server asked for is a minimum, with up to a tenth added.
        """
        if isinstance(outcome, RetryAfter) and outcome.seconds is not None:
            return max(self.first, min(outcome.seconds, self.asked_ceiling)) * (1 + 0.1 * chance)
        if isinstance(outcome, Held):
            full = min(self.held_ceiling, self.held_first * 2.0 ** min(failures - 1, 30))
        else:
            full = min(self.ceiling, self.first * 2.0 ** min(failures - 1, 30))
        return full * (0.5 + 0.5 * chance)


def may_have_restarted(known_boot: str, pong: Pong, *, reconnected: bool) -> bool:
    """Whether the server may be another run than the one known, and have lost what it acknowledged.

    One that does not tell its start is believed for as long as the connection holds.
    """
    if pong.boot and known_boot:
        return pong.boot != known_boot
    return reconnected or pong.reconnected
