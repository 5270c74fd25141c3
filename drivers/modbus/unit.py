"""One device on a link: its settings, what it taught us, and the plans compiled for its groups."""

from __future__ import annotations

from dataclasses import replace

from drivers.base import Device, Point, PollGroup
from drivers.modbus.plan import Learned, Plan, compile_plan
from drivers.modbus.settings import DeviceSettings

RETRY_HOLES_S = 86_400.0
"""A hole may be a register that came with a firmware update or a module: it is asked again daily."""


class Unit:
    """The state kept for a device as long as its configuration does not change."""

    def __init__(self, device: Device) -> None:
        if not isinstance(device.settings, DeviceSettings):
            raise TypeError(f"{device.name} is no Modbus device: {device.settings!r}")
        self.device = device
        self.unit_id = device.settings.unit_id
        self.has_answered = False
        self._fresh = Learned(device.settings.max_registers, device.settings.max_bits)
        self._learned = self._fresh
        self._learned_at = 0.0
        self._plans: dict[float, tuple[tuple[Point, ...], Learned, Plan]] = {}

    def learned(self, monotonic: float) -> Learned:
        """What is known now; holes older than a day are forgotten."""
        if self._learned.holes and monotonic - self._learned_at >= RETRY_HOLES_S:
            self._learned = replace(self._learned, holes=frozenset())
        return self._learned

    def remember(self, learned: Learned, monotonic: float) -> None:
        """Add what a poll learned: another group's poll may have taught something meanwhile."""
        self._learned, self._learned_at = self._learned.merged(learned), monotonic

    def plan(self, group: PollGroup, learned: Learned) -> Plan:
        """The plan of a group, compiled once for its points and what is known."""
        kept = self._plans.get(group.every_s)
        if kept is not None and kept[0] is group.points and kept[1] == learned:
            return kept[2]
        plan = compile_plan(group.points, learned)
        self._plans[group.every_s] = (group.points, learned, plan)
        return plan
