"""Which devices answer, since when, and if not, why: kept from poll results and deliveries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from drivers.base import Fault, FaultCode
from gateway.site import DeviceSpec


@dataclass(slots=True)
class DeviceState:
    """One device now. last_answer, since: UTC ns, 0 = never. A device never heard of is not online.

    heard_s: monotonic time of its last sign of life, or of the first look at it.
    """

    online: bool = False
    last_answer: int = 0
    since: int = 0
    latency_s: float | None = None
    fault: Fault | None = None
    point_faults: dict[int, Fault] = field(default_factory=dict)
    heard_s: float | None = None


class DeviceBoard:
    """The state of every device of the installation.

    monotonic: seconds that only rise; how long a sender is silent is measured by it, whatever UTC does.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._states: dict[str, DeviceState] = {}

    def use(self, devices: Iterable[DeviceSpec]) -> None:
        """Keep exactly these devices; one that stays keeps its state."""
        self._states = {device.name: self._states.get(device.name, DeviceState()) for device in devices}

    def __getitem__(self, device: str) -> DeviceState:
        return self._states[device]

    def is_online(self, device: str) -> bool:
        """Whether it answers; one that a reload removed while it was asked does not."""
        state = self._states.get(device)
        return state is not None and state.online

    def answered(self, device: str, at_ns: int, latency_s: float | None) -> None:
        """The device gave something of itself."""
        state = self._states.get(device)
        if state is None:
            return
        if not state.online:
            state.online, state.since = True, at_ns
        state.last_answer = at_ns
        state.heard_s = self._monotonic()
        state.latency_s = latency_s
        state.fault = None

    def lost(self, device: str, at_ns: int, fault: Fault) -> None:
        """The device as a whole did not answer."""
        state = self._states.get(device)
        if state is None:
            return
        if state.online or not state.since:
            state.online, state.since = False, at_ns
        state.fault = fault
        state.latency_s = None

    def points(self, device: str, series: Iterable[int], faults: Mapping[int, Fault]) -> None:
        """What was found of these points: a fault each, or none."""
        state = self._states.get(device)
        if state is None:
            return
        if state.point_faults:
            for one in series:
                state.point_faults.pop(one, None)
        state.point_faults.update(faults)

    def silent(self, expected: Mapping[str, float], now_ns: int) -> list[str]:
        """Mark senders lost that are overdue, and name them. expected: device -> seconds it may be silent."""
        overdue = []
        now_s = self._monotonic()
        for device, allowed_s in expected.items():
            state = self._states.get(device)
            if state is None:
                continue
            if state.heard_s is None:
                state.heard_s, state.since = now_s, now_ns
            elif state.fault is None and now_s - state.heard_s > allowed_s:
                self.lost(device, now_ns, Fault(FaultCode.SILENT, f"expected within {allowed_s:g} s"))
                overdue.append(device)
        return overdue
