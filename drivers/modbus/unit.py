"""One device on a link: its settings, what it taught us, and the plans compiled for its groups."""

from __future__ import annotations

from drivers.base import Device, Memory, Point, PollGroup
from drivers.modbus.notes import KEPT_S, from_text, to_text
from drivers.modbus.plan import Learned, Plan, compile_plan
from drivers.modbus.settings import DeviceSettings


class Unit:
    """The state kept for a device as long as its configuration does not change.

    endpoint: where its link leads: what was learned of another unit, or elsewhere, is not believed. now_s,
    monotonic: UTC and monotonic time [s] at the moment it is made.
    """

    def __init__(
        self, device: Device, memory: Memory, endpoint: str, *, now_s: float, monotonic: float
    ) -> None:
        if not isinstance(device.settings, DeviceSettings):
            raise TypeError(f"{device.name} is no Modbus device: {device.settings!r}")
        self.device = device
        self.unit_id = device.settings.unit_id
        self.has_answered = False
        self._memory = memory
        self._key = f"{device.name}/modbus"
        self._identity = f"{endpoint} unit {self.unit_id}"
        self._fresh = Learned(device.settings.max_registers, device.settings.max_bits)
        self._learned = self._fresh
        self._since: float | None = None
        self._plans: dict[float, tuple[tuple[Point, ...], Learned, Plan]] = {}
        self._recall(now_s, monotonic)

    def learned(self, monotonic: float) -> Learned:
        """What is known now; a day after the first lesson all is forgotten, so that it is asked again."""
        if self._since is not None and monotonic - self._since >= KEPT_S:
            self._learned, self._since = self._fresh, None
            self._memory.learn(self._key, None)
        return self._learned

    def remember(self, learned: Learned, *, now_s: float, monotonic: float) -> None:
        """Add what a poll learned: another group's poll may have taught something meanwhile."""
        if self._since is None:
            self._since = monotonic
        self._learned = self._learned.merged(learned)
        taught_at = now_s - (monotonic - self._since)
        self._memory.learn(self._key, to_text(self._identity, (self._learned, taught_at)))

    def plan(self, group: PollGroup, learned: Learned) -> Plan:
        """The plan of a group, compiled once for its points and what is known."""
        kept = self._plans.get(group.every_s)
        if kept is not None and kept[0] is group.points and kept[1] == learned:
            return kept[2]
        plan = compile_plan(group.points, learned)
        self._plans[group.every_s] = (group.points, learned, plan)
        return plan

    def _recall(self, now_s: float, monotonic: float) -> None:
        lesson = from_text(self._identity, self._memory.recall(self._key), now_s)
        if lesson is not None:
            learned, since_s = lesson
            self._learned, self._since = self._fresh.merged(learned), monotonic - (now_s - since_s)
