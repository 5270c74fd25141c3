"""From points to requests: which blocks to read, and where each point then lies. Pure.

Blocks are chosen by cost. A request costs a round trip, which is worth `REQUEST_COST` bytes; every register
read costs two bytes, wanted or not. The cheapest cover of the points by runs of at most the device's limit
is found by dynamic programming over the sorted points.

What a device taught us enters as `Learned`: fences, across which no block may reach because a read across
them was refused; holes, points that it does not have; and the read lengths it really accepts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.base import Point
from drivers.modbus.codec import Decoder, Placed, ScaleFactors
from drivers.modbus.settings import PointSettings, Table

REQUEST_COST: Final = 96
"""What one round trip is worth [bytes]. At 19200 baud a request's 8 + 5 bytes and two turnarounds of 20-40 ms
cost about as much as 50-100 bytes; over TCP the device's own handling is worth about the same."""

FUNCTION: Final = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
"""The function code that reads each table."""

Span = tuple[Table, int, int]
"""Table, first address and number of registers (or bits) of a point."""

_PAD: Final = 8
"""The buffer is never shorter, so that a point in a hole decodes like any other (and is then discarded)."""


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """One Modbus request: `count` registers (or bits) from `address`, and the points it carries.

    byte: where its answer begins in the plan's buffer. rows: the points' rows in the plan.
    """

    table: Table
    address: int
    count: int
    byte: int
    rows: NDArray[np.intp]

    @property
    def function(self) -> int:
        return FUNCTION[self.table]

    @property
    def size(self) -> int:
        """Bytes of the answer."""
        return (self.count + 7) // 8 if self.table.holds_bits else 2 * self.count

    @property
    def end_byte(self) -> int:
        return self.byte + self.size

    @property
    def key(self) -> tuple[Table, int, int]:
        """What is asked, whatever plan asks it."""
        return self.table, self.address, self.count


@dataclass(frozen=True, slots=True)
class Learned:
    """What a device taught us: its limits, its fences as (table, address), and its holes."""

    max_registers: int = 125
    max_bits: int = 2000
    fences: frozenset[tuple[Table, int]] = frozenset()
    holes: frozenset[Span] = frozenset()

    def limit(self, table: Table) -> int:
        return self.max_bits if table.holds_bits else self.max_registers

    def barriers(self, table: Table) -> list[int]:
        """Addresses that no block reaches across: the fences, and each hole's own."""
        holes = {start for holed, start, _ in self.holes if holed is table}
        return sorted(holes | {address for fenced, address in self.fences if fenced is table})

    def merged(self, other: Learned) -> Learned:
        """What both know together."""
        return Learned(
            min(self.max_registers, other.max_registers),
            min(self.max_bits, other.max_bits),
            self.fences | other.fences,
            self.holes | other.holes,
        )

    def limited(self, table: Table, count: int) -> Learned:
        return replace(self, max_bits=count) if table.holds_bits else replace(self, max_registers=count)

    def fenced(self, table: Table, address: int) -> Learned:
        return replace(self, fences=self.fences | {(table, address)})

    def missing(self, spans: Iterable[Span]) -> Learned:
        return replace(self, holes=self.holes | set(spans))


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a poll of some points needs, its arrays in the points' order.

    Rows behind the points' own, which have no series, are the scale factors that points share. blocks: what
    to read; their answers joined in order make the buffer, at least `size` bytes long. decoder: how the
    buffer becomes values. factors: which rows scale which. holes: rows of points not asked for. spans: (byte,
    width) of each point in the buffer, for traces.
    """

    settings: tuple[PointSettings, ...]
    series: NDArray[np.int32]
    blocks: tuple[ReadBlock, ...]
    size: int
    decoder: Decoder
    factors: ScaleFactors | None
    holes: NDArray[np.intp]
    spans: tuple[tuple[int, int], ...] = field(repr=False)

    def buffer(self, answers: Iterable[bytes | None]) -> bytes:
        """The answers, one per block, as one buffer; None, for a block that failed, gives zeros."""
        parts = [answer or bytes(block.size) for block, answer in zip(self.blocks, answers, strict=True)]
        return b"".join(parts).ljust(_PAD, b"\0")


def compile_plan(points: Sequence[Point], learned: Learned) -> Plan:
    """The cheapest reads for these points, and how to decode what they bring."""
    own = tuple(_settings(point) for point in points)
    shared = _scale_factors(own)
    settings = (*own, *shared.values())
    blocks: list[ReadBlock] = []
    holes: list[int] = []
    for table, rows in _by_table(settings).items():
        present = [row for row in rows if span_of(settings[row]) not in learned.holes]
        holes += sorted(set(rows) - set(present))
        for run in _cheapest(present, settings, table, learned):
            blocks.append(_block(table, run, settings, blocks[-1].end_byte if blocks else 0))
    size = max(_PAD, blocks[-1].end_byte if blocks else 0)
    placed, spans = _place(blocks, settings)
    return Plan(
        settings=settings,
        series=np.array([point.series for point in points], np.int32),
        blocks=tuple(blocks),
        size=size,
        decoder=Decoder(placed),
        factors=ScaleFactors.of(own, {place: len(own) + n for n, place in enumerate(shared)}),
        holes=np.array(holes, np.intp),
        spans=tuple(spans),
    )


def span_of(settings: PointSettings) -> Span:
    """What a point occupies: the name by which a hole is remembered."""
    return settings.space, settings.start, settings.words


def fence_for(block: ReadBlock, plan: Plan) -> int | None:
    """Where to split a block that was refused: after its widest gap, else in its middle.

    Returns the first address of the second part; None when no two of its points can be read apart.
    """
    cuts: list[tuple[int, int, int]] = []
    end = 0
    for index, row in enumerate(block.rows):
        _, start, words = span_of(plan.settings[row])
        if index and start >= end:
            cuts.append((end - start, abs(2 * index - len(block.rows)), start))
        end = max(end, start + words)
    return min(cuts)[2] if cuts else None


def _settings(point: Point) -> PointSettings:
    if not isinstance(point.source, PointSettings):
        raise TypeError(f"{point.device}/{point.name} is no Modbus point: {point.source!r}")
    return point.source


def _scale_factors(settings: Sequence[PointSettings]) -> dict[tuple[Table, int], PointSettings]:
    """Each scale factor once: a register of ten's power, that SunSpec marks as absent by 0x8000."""
    keys = {"type": "i16", "not_available": "sunspec"}
    return {
        (place.space, place.sf): PointSettings.model_validate(
            {"register": place.sf, "table": place.space} | keys
        )
        for place in settings
        if place.sf is not None
    }


def _by_table(settings: Sequence[PointSettings]) -> dict[Table, list[int]]:
    """Rows of each table, by address."""
    rows: dict[Table, list[int]] = defaultdict(list)
    for row in sorted(range(len(settings)), key=lambda row: settings[row].start):
        rows[settings[row].space].append(row)
    return {table: rows[table] for table in sorted(rows)}


def _cheapest(
    rows: list[int], settings: Sequence[PointSettings], table: Table, learned: Learned
) -> Iterator[list[int]]:
    """Runs of rows (sorted by address) that cover all of them at the least cost.

    best[k] is the cost of the first k rows; a run may be longer than the limit only when it is one point.
    """
    fences = learned.barriers(table)
    starts = [settings[row].start for row in rows]
    ends = list(accumulate((settings[row].start + settings[row].words for row in rows), max))
    region = np.searchsorted(fences, starts, side="right").tolist()
    limit, unit = learned.limit(table), 1 / 8 if table.holds_bits else 2
    best, first = [0.0], []
    for last in range(len(rows)):
        begin = last
        cheapest = best[last] + REQUEST_COST + unit * (ends[last] - starts[last])
        for j in range(last - 1, -1, -1):
            length = ends[last] - starts[j]
            if length > limit or region[j] != region[last]:
                break
            cost = best[j] + REQUEST_COST + unit * length
            if cost <= cheapest:
                cheapest, begin = cost, j
        best.append(cheapest)
        first.append(begin)
    cuts = [len(rows)]
    while cuts[-1]:
        cuts.append(first[cuts[-1] - 1])
    for begin, end in pairwise(reversed(cuts)):
        yield rows[begin:end]


def _block(table: Table, rows: list[int], settings: Sequence[PointSettings], byte: int) -> ReadBlock:
    address = settings[rows[0]].start
    end = max(settings[row].start + settings[row].words for row in rows)
    return ReadBlock(table, address, end - address, byte, np.array(rows, np.intp))


def _place(
    blocks: Sequence[ReadBlock], settings: Sequence[PointSettings]
) -> tuple[list[Placed], list[tuple[int, int]]]:
    """Where each point lies in the buffer; points in holes lie at its start."""
    placed = [Placed(place, 0) for place in settings]
    spans = [(0, 0)] * len(settings)
    for block in blocks:
        for row in map(int, block.rows):
            place = settings[row]
            distance = place.start - block.address
            if block.table.holds_bits:
                byte = block.byte + distance // 8
                placed[row], spans[row] = Placed(place, byte, distance % 8), (byte, 1)
            else:
                byte = block.byte + 2 * distance
                placed[row], spans[row] = Placed(place, byte, place.bit or 0), (byte, 2 * place.words)
    return placed, spans
