"""Watches the wall clock against the monotonic one: steps are noticed, and a clock that cannot be right is
not believed."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.clock import SECOND_NS, Clock

EARLIEST_NS = 1_767_225_600 * SECOND_NS
"""2026-01-01: this software is newer than that, so an earlier clock has not been set yet."""
STEP_S = 2.0
"""Disciplined clocks slew; a jump beyond this is a step."""


@dataclass(frozen=True, slots=True)
class ClockNews:
    """What a look at the clock found. step_s: how far UTC moved on its own, 0 when it did not."""

    step_s: float
    suspect: bool
    became_known: bool


class TimeWatch:
    """Call `look` every second or so."""

    def __init__(self, clock: Clock, earliest_ns: int = EARLIEST_NS) -> None:
        self._clock = clock
        self._earliest_ns = earliest_ns
        self._offset_ns = self._utc_minus_monotonic()
        self.suspect = clock.now_ns() < earliest_ns

    def look(self) -> ClockNews:
        """Compare the clocks with what they said last time."""
        offset = self._utc_minus_monotonic()
        step_s = (offset - self._offset_ns) / SECOND_NS
        self._offset_ns = offset
        was_suspect, self.suspect = self.suspect, self._clock.now_ns() < self._earliest_ns
        return ClockNews(
            step_s=step_s if abs(step_s) > STEP_S else 0.0,
            suspect=self.suspect,
            became_known=was_suspect and not self.suspect,
        )

    def _utc_minus_monotonic(self) -> int:
        return self._clock.now_ns() - round(self._clock.monotonic() * SECOND_NS)
