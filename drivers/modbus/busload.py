"""How much of a serial line's time its polls need. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.base import Point
from drivers.modbus.plan import Learned, ReadBlock, compile_plan
from drivers.modbus.settings import DeviceSettings, RtuLinkSettings

RESPONSE_S: Final = 0.010
"""What a device takes to begin its answer [s]. Typical meters take 5 to 20 ms; the standard sets no limit."""
_REQUEST: Final = 8
"""Unit, function, address, count, checksum [bytes]."""
_ANSWER: Final = 5
"""Unit, function, length, checksum around the data [bytes]."""


def poll_seconds(points: Sequence[Point], device: DeviceSettings, line: RtuLinkSettings) -> float:
    """Time on the line of one poll of these points, when every answer comes at the first asking [s].

    For each read: the request, the device's own time, the answer, and two silences, or a turnaround delay
    where that is longer.
    Source: Modbus over Serial Line V1.02, 2.5.1.1 (frames, and silences of 3.5 characters).
    """
    plan = compile_plan(points, Learned(device.max_registers, device.max_bits))
    return sum(_read_seconds(block, line) for block in plan.blocks)


def _read_seconds(block: ReadBlock, line: RtuLinkSettings) -> float:
    on_the_wire = (_REQUEST + _ANSWER + block.size) * line.character_s
    return on_the_wire + RESPONSE_S + line.silence_s + max(line.pause, line.silence_s)
