"""Cadence: when each poll group runs, on the monotonic clock.

A *lane* runs one poll at a time. A shared line (RS-485, one TCP socket) is one lane for all of its devices;
where the medium allows it (UDP), each device has a lane of its own. Groups of one cadence are spread over
their period, so that a building of many meters is asked evenly. A lane that falls behind skips the polls
it missed: a burst of old questions helps nobody. A device that does not answer backs off alone: its
fastest group asks again at growing distances, its other groups wait until it answers. Where asking costs the
others nothing (it has its line to itself, or is refused at once) it is asked again soon, so that it is back
within two of its periods.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from drivers.base import Driver, PollGroup, PollResult
from gateway.clock import Clock

Report = Callable[[PollGroup, PollResult], Awaitable[None]]

IDLE_S = 60.0
"""A lane without work looks again this often; an assignment wakes it at once."""
SOON = 1.5
"""Periods between two questions to a lost device that disturb nobody."""
COSTLY = 0.05
"""A failed poll that took more than this share of its period disturbs the others on its line."""
LATE_SHARE = 0.1
"""A poll that starts later than this share of its period after its time is counted as late."""
LATE_FLOOR_S = 0.1
"""The loop's own jitter is not called late."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How a silent device is asked again: first_s, then `growth` times longer each time, up to longest_s.

    jitter spreads devices that died together: each wait is drawn from +-jitter of its nominal length.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    growth: float = 2.0
    jitter: float = 0.05

    def wait_s(self, failures: int, every_s: float, draw: float, ceiling_s: float = inf) -> float:
        """Seconds until the next try after `failures` >= 1 in a row; draw is uniform in 0..1.

        Never sooner than the group's own period, never later than longest_s, ceiling_s or that period.
        """
        nominal = self.first_s * self.growth ** min(failures - 1, 32)
        bounded = max(every_s, min(nominal, self.longest_s, ceiling_s))
        return bounded * (1 + self.jitter * (2 * draw - 1))


@dataclass(order=True, slots=True)
class _Turn:
    due: float
    order: int
    group: PollGroup = field(compare=False)


@dataclass(slots=True)
class _Health:
    failures: int = 0
    probe: PollGroup | None = None
    waiting: list[PollGroup] = field(default_factory=list)


@dataclass(slots=True)
class LaneCounts:
    """What a lane did since it was made."""

    polls: int = 0
    late: int = 0
    skipped: int = 0


class Lane:
    """One poll at a time over the groups it was given."""

    def __init__(
        self, driver: Driver, clock: Clock, report: Report, backoff: Backoff | None = None, seed: int = 0
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._report = report
        self._backoff = backoff or Backoff()
        self._draw = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._turns: list[_Turn] = []
        self._health: dict[str, _Health] = {}
        self._groups: dict[tuple[str, float], PollGroup] = {}
        self._asking: PollGroup | None = None
        self._order = 0
        self._wake = asyncio.Event()
        self.counts = LaneCounts()

    def assign(self, groups: Sequence[PollGroup]) -> None:
        """Replace the groups; one that did not change keeps its place in time, also while it is asked."""
        wanted = {_key(group): self._as_held(group) for group in groups}
        kept = {key for key, group in wanted.items() if self._groups.get(key) is group}
        self._turns = [turn for turn in self._turns if _key(turn.group) in kept]
        heapq.heapify(self._turns)
        for device, _ in (wanted.keys() | self._groups.keys()) - kept:
            self._health.pop(device, None)
        scheduled = {_key(turn.group) for turn in self._turns}
        self._groups = wanted
        now = self._clock.monotonic()
        for key, group in wanted.items():
            if key not in scheduled and group is not self._asking and not self._is_waiting(group):
                self._push(now + phase(group) * min(group.every_s, 1.0), group)
        self._wake.set()

    async def run(self) -> None:
        """Poll for ever. Cancel to stop."""
        while True:
            now = self._clock.monotonic()
            if not self._turns or self._turns[0].due > now:
                self._wake.clear()
                await self._clock.wait(self._wake, self._turns[0].due if self._turns else now + IDLE_S)
                continue
            turn = heapq.heappop(self._turns)
            await self._take(turn)

    async def _take(self, turn: _Turn) -> None:
        group = turn.group
        health = self._health.setdefault(group.device, _Health())
        if health.failures and health.probe is not group:
            health.waiting.append(group)
            return
        self._count(turn)
        self._asking = group
        result: PollResult | None = None  # a driver's own bug costs one turn, not the group
        began = self._clock.monotonic()
        try:
            result = await self._driver.poll(group)
        finally:
            self._asking = None
            if self._groups.get(_key(group)) is group:
                lost = result is None or result.fault is not None
                self._reschedule(turn, lost=lost, took_s=self._clock.monotonic() - began)
        await self._report(group, result)

    def _count(self, turn: _Turn) -> None:
        lateness = self._clock.monotonic() - turn.due
        self.counts.polls += 1
        if lateness > max(LATE_SHARE * turn.group.every_s, LATE_FLOOR_S):
            self.counts.late += 1

    def _reschedule(self, turn: _Turn, *, lost: bool, took_s: float) -> None:
        now = self._clock.monotonic()
        group = turn.group
        health = self._health.setdefault(group.device, _Health())
        if lost:
            health.failures += 1
            health.probe = group
            ceiling = inf if self._disturbs(group, took_s) else SOON * group.every_s
            wait = self._backoff.wait_s(health.failures, group.every_s, self._draw.random(), ceiling)
            self._push(now + wait, group)
            return
        if health.failures:
            for waiting in health.waiting:
                self._push(now, waiting)
            self._health[group.device] = _Health()
            self._push(now + group.every_s, group)
            return
        self._push(self._next_due(turn.due, group.every_s, now), group)

    def _disturbs(self, group: PollGroup, took_s: float) -> bool:
        """Whether others on this lane wait while a lost device is asked in vain."""
        alone = all(device == group.device for device, _ in self._groups)
        return not alone and took_s > COSTLY * group.every_s

    def _next_due(self, due: float, every_s: float, now: float) -> float:
        following = due + every_s
        if following >= now:
            return following
        missed = int((now - due) // every_s)
        self.counts.skipped += missed
        return due + (missed + 1) * every_s

    def _as_held(self, group: PollGroup) -> PollGroup:
        """The group as the lane holds it, when it did not change: turns and health know it by identity."""
        held = self._groups.get(_key(group))
        return held if held is not None and held == group else group

    def _is_waiting(self, group: PollGroup) -> bool:
        health = self._health.get(group.device)
        return health is not None and group in health.waiting

    def _push(self, due: float, group: PollGroup) -> None:
        self._order += 1
        heapq.heappush(self._turns, _Turn(due, self._order, group))


def _key(group: PollGroup) -> tuple[str, float]:
    return group.device, group.every_s


def phase(group: PollGroup) -> float:
    """Where in its period a group starts, 0..1: the same at every start, spread over devices."""
    return zlib.crc32(f"{group.device}/{group.every_s}".encode()) / 2**32
