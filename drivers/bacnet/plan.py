"""From points to requests: which properties are asked for together. Pure; planned once, run every poll."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from drivers.bacnet.codec import AnswerDecoder, encode_references
from drivers.bacnet.names import PRESENT_VALUE, STATUS_FLAGS, property_id
from drivers.bacnet.settings import PointSettings, parse_object
from drivers.base import Point


class Reference(NamedTuple):
    """One property of one object, in the standard's numbers."""

    object_type: int
    instance: int
    property: int
    array_index: int | None = None

    def __str__(self) -> str:
        """'0,3,85', and '1,3,87,8' for an element of an array."""
        return ",".join(str(part) for part in self if part is not None)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The reverse of str(). Raises ValueError."""
        numbers = [int(part) for part in text.split(",")]
        if len(numbers) not in (3, 4):
            raise ValueError(f"{text!r} is no reference")
        return cls(*numbers)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One ReadPropertyMultiple: what it asks for, already encoded.

    rows: for each point, its row in the poll's batch. values: for each point, where its value is in
    `references`. flags: where its status flags are, -1 where none are asked for. decoder: decodes the
    answers, remembering their shape from poll to poll.
    """

    references: tuple[Reference, ...]
    payload: bytes
    rows: NDArray[np.intp]
    values: NDArray[np.intp]
    flags: NDArray[np.intp]
    decoder: AnswerDecoder

    def halves(self, points: Sequence[Point], status_flags: bool) -> list[ReadRequest]:
        """The same request in two; `points` are those of the whole poll group."""
        middle = len(self.rows) // 2
        return [
            _request(points, part.tolist(), status_flags) for part in (self.rows[:middle], self.rows[middle:])
        ]


def reference_of(settings: PointSettings) -> Reference:
    """What a point's settings ask for."""
    kind, instance = parse_object(settings.object)
    return Reference(kind, instance, property_id(settings.property), settings.array_index)


def build_plan(
    points: Sequence[Point],
    max_batch: int,
    *,
    status_flags: bool = False,
    apart: Collection[Reference] = (),
) -> tuple[ReadRequest, ...]:
    """Requests of at most `max_batch` points each, objects in order so that their properties share a header.

    apart: what the device has refused before. It is asked for in requests of its own, so
    that a device which answers one unknown object with an error for all does not take the others along.
    """
    references = [reference_of(_settings(point)) for point in points]
    order = sorted(range(len(points)), key=lambda row: _sort_key(references[row]))
    well = [row for row in order if references[row] not in apart]
    ill = [row for row in order if references[row] in apart]
    return tuple(
        _request(points, rows[start : start + max_batch], status_flags)
        for rows in (well, ill)
        for start in range(0, len(rows), max_batch)
    )


def request_of(references: Sequence[Reference]) -> ReadRequest:
    """A request for references that belong to no poll; its rows count from 0 in their order."""
    order = np.arange(len(references), dtype=np.intp)
    encoded = encode_references(references)
    return ReadRequest(
        tuple(references), encoded, order, order, np.full_like(order, -1), AnswerDecoder(references)
    )


def _request(points: Sequence[Point], rows: Sequence[int], status_flags: bool) -> ReadRequest:
    wanted: dict[Reference, int] = {}
    values, flags = [], []
    for row in rows:
        reference = reference_of(_settings(points[row]))
        values.append(wanted.setdefault(reference, len(wanted)))
        has_flags = status_flags and reference.property == PRESENT_VALUE
        flags.append(wanted.setdefault(_flags_of(reference), len(wanted)) if has_flags else -1)
    references = tuple(wanted)
    return ReadRequest(
        references,
        encode_references(references),
        np.array(rows, np.intp),
        np.array(values, np.intp),
        np.array(flags, np.intp),
        AnswerDecoder(references),
    )


def _flags_of(reference: Reference) -> Reference:
    return Reference(reference.object_type, reference.instance, STATUS_FLAGS)


def _sort_key(reference: Reference) -> tuple[int, int, int, int]:
    return (reference.object_type, reference.instance, reference.property, reference.array_index or 0)


def _settings(point: Point) -> PointSettings:
    return cast(PointSettings, point.source)
