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
        return f"{self.object_type},{self.instance} property {self.property}"


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
    points: Sequence[Point], max_batch: int, *, status_flags: bool = False, apart: Collection[int] = ()
) -> tuple[ReadRequest, ...]:
    """Requests of at most `max_batch` points each, objects in order so that their properties share a header.

    apart: series ids that the device has refused before. They are asked for in requests of their own, so
    that a device which answers one unknown object with an error for all does not take the others along.
    """
    order = sorted(range(len(points)), key=lambda row: _sort_key(reference_of(_settings(points[row]))))
    well = [row for row in order if points[row].series not in apart]
    ill = [row for row in order if points[row].series in apart]
    return tuple(
        _request(points, rows[start : start + max_batch], status_flags)
        for rows in (well, ill)
        for start in range(0, len(rows), max_batch)
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
