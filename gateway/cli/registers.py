"""Reads plain Modbus registers through the driver, holes and length limits included."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.base import Delivery, Device, Fault, Point, PollGroup, Settings
from drivers.modbus.settings import DeviceSettings, PointSettings, Table
from drivers.registry import KINDS

HIGHEST = 65_535


@dataclass(frozen=True, slots=True)
class Registers:
    """Consecutive registers. words: None where the device has none. fault: why all are missing."""

    start: int
    words: tuple[int | None, ...]
    fault: Fault | None = None

    @property
    def hex(self) -> str:
        return " ".join("----" if word is None else f"{word:04x}" for word in self.words)


async def read_registers(
    driver: str, link: Settings, unit_id: int, table: Table, start: int, count: int
) -> Registers:
    """`count` registers of a unit from `start`, as far as the device has them. Raises LinkError."""
    return (await read_blocks(driver, link, unit_id, [(table, start, count)]))[0]


async def read_blocks(
    driver: str, link: Settings, unit_id: int, blocks: Sequence[tuple[Table, int, int]]
) -> list[Registers]:
    """Several stretches of registers of one unit over one connection, in their order. Raises LinkError."""
    session = KINDS[driver].create("read", link, time.time_ns)
    groups = [_group(index, table, start, count) for index, (table, start, count) in enumerate(blocks)]
    await session.open(_ignore)
    try:
        await session.assign([Device("unit", DeviceSettings(unit_id=unit_id), tuple(groups))])
        found = []
        for group, (_, start, _) in zip(groups, blocks, strict=True):
            result = await session.poll(group, trace=True)
            words = tuple(_word(result.raw.get(point.series, "")) for point in group.points)
            fault = result.fault
            if fault is None and all(word is None for word in words):
                fault = next(iter(result.point_faults.values()), None)
            found.append(Registers(start, words, fault))
        return found
    finally:
        await session.close()


def _group(index: int, table: Table, start: int, count: int) -> PollGroup:
    """One group a block: `every_s` only tells the groups apart."""
    last = min(start + count, HIGHEST + 1)
    points = tuple(
        Point(
            (index << 16) + register, "unit", f"b{index}_{register}",
            PointSettings.model_validate({"register": register, "table": table}), "count", "1", "1",
        )
        for register in range(max(start, 0), last)
    )  # fmt: skip
    return PollGroup("unit", 1.0 + index, points)


def _word(raw: str) -> int | None:
    digits = raw.replace(" ", "")
    return int(digits, 16) if len(digits) == 4 else None


async def _ignore(delivery: Delivery) -> None:
    """Modbus brings nothing unasked."""
