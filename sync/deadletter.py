"""Finding the lines a server refuses: halve the body until the bad line stands alone.

One bad line among 5,000 costs about 25 small requests and one dead letter; sending good lines again is free,
for the same point stored twice is one point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sync.line_protocol import Body
from sync.retry import NotNow
from sync.sink import Accepted, Held, Outcome, Rejected, TooLarge

MAX_REQUESTS = 400
"""What sifting one body may cost; what is then still in doubt is kept as dead letters unsplit."""

SUSPICIOUS_REFUSALS = 40
"""So many single refusals without one acceptance mean that the server is set up wrongly, not the data."""


@dataclass(slots=True)
class Sifted:
    """Which lines were refused, with the server's words; stopped: why sifting could not be finished."""

    refused: list[tuple[str, str]] = field(default_factory=list)
    stopped: NotNow | None = None
    accepted: int = 0
    reconnected: bool = False


def sift(body: Body, first_answer: Rejected | TooLarge, write: Callable[[bytes, int], Outcome]) -> Sifted:
    """Store what can be stored of a body that was refused as a whole, and name the rest.

    The lines are tried in their order. When the server goes away or everything is refused, `stopped` says so
    and nothing of the body may be acknowledged.
    """
    result = Sifted()
    requests = 0
    waiting: list[tuple[list[bytes], Rejected | TooLarge]] = [(body.data.splitlines(True), first_answer)]
    while waiting:
        lines, answer = waiting.pop()
        if len(lines) == 1 or requests >= MAX_REQUESTS or _is_final(answer):
            result.refused += [(line.decode().rstrip("\n"), answer.reason) for line in lines]
            if not result.accepted and len(result.refused) >= SUSPICIOUS_REFUSALS and not _is_final(answer):
                result.stopped = Held(f"every line is refused: {answer.reason}")
                return result
            continue
        middle = len(lines) // 2
        for half in (lines[middle:], lines[:middle]):
            outcome = write(b"".join(half), len(half))
            requests += 1
            if isinstance(outcome, Accepted):
                result.accepted += len(half)
                result.reconnected |= outcome.reconnected
            elif isinstance(outcome, Rejected | TooLarge):
                waiting.append((half, outcome))
            else:
                result.stopped = outcome
                return result
    return result


def _is_final(answer: Rejected | TooLarge) -> bool:
    """Whether halving is pointless: what is older than the bucket keeps is refused, the rest is stored."""
    return "retention policy" in answer.reason
