"""How long to leave an absent peer alone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable


class Backoff:
    """Exponential, with jitter of a quarter, so that devices of one panel do not come back in step.

    first: the wait after the first failure [s]. longest: its bound [s].
    """

    def __init__(
        self, longest: float, first: float = 0.25, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._first, self._longest, self._monotonic = first, longest, monotonic
        self._wait = 0.0
        self._until = 0.0

    @property
    def waiting(self) -> bool:
        return self._monotonic() < self._until

    def failed(self) -> None:
        self._wait = min(max(self._first, 2 * self._wait), self._longest)
        self._until = self._monotonic() + self._wait * random.uniform(0.75, 1.25)  # noqa: S311 - no secret

    def succeeded(self) -> None:
        self._wait = self._until = 0.0
