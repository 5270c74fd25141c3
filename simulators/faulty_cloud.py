"""The receiver with faults."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.cloud import CloudFault, Receiver
from simulators.faults import ActiveFault, FaultBoard, FaultKind, SimulatedFault


class FaultyCloud:
    """A receiver under its name on the board; of several faults the newest counts."""

    protocol = "cloud"
    points: Sequence[str] = ()

    def __init__(self, board: FaultBoard, name: str, receiver: Receiver) -> None:
        self._board = board
        self._name = name
        self._receiver = receiver
        self._down = 0
        board.attach(name, self)

    async def begin(self, active: ActiveFault) -> None:
        if active.fault.kind is FaultKind.REBOOT:
            self._down += 1
            await self._receiver.stop()
        self._show()

    async def end(self, active: ActiveFault) -> None:
        if active.fault.kind is FaultKind.REBOOT:
            self._down -= 1
            if not self._down:
                await self._receiver.start()
        self._show()

    def _show(self) -> None:
        mine = [a.fault for a in self._board.active(self._name) if a.fault.kind is not FaultKind.REBOOT]
        self._receiver.fault = _cloud_fault(mine[-1]) if mine else None


def _cloud_fault(fault: SimulatedFault) -> CloudFault:
    if fault.kind is FaultKind.DELAY:
        return CloudFault(delay_s=fault.seconds or 0.0)
    if fault.kind is FaultKind.SLOW:
        return CloudFault(bytes_per_s=fault.value or 1.0)
    if fault.kind is FaultKind.PARTIAL:
        return CloudFault(refuse_share=fault.value or 0.0)
    retry_after = "" if fault.seconds is None else f"{fault.seconds:g}"
    return CloudFault(status=fault.code, retry_after=retry_after)
