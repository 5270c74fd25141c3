"""ReadPropertyMultiple on the wire (ASHRAE 135, clauses 15.7 and 20.2): encode requests, decode answers flat.

A device answers the same request with bytes of the same shape: only the values in them change. So the
first answer is parsed tag by tag into a `Shape`, which says where each value stands; later answers that
match it are decoded as columns. An answer that does not match is parsed again. Pure: bytes in, arrays out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from drivers.bacnet.plan import Reference

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

_OPEN_RESULTS, _CLOSE_RESULTS = 0x1E, 0x1F
_OPEN_VALUE, _CLOSE_VALUE = 0x4E, 0x4F
_OPEN_ERROR, _CLOSE_ERROR = 0x5E, 0x5F
_OBJECT_IDENTIFIER = 0x0C


class Tag(IntEnum):
    """Application tags that carry a number."""

    NULL = 0
    BOOLEAN = 1
    UNSIGNED = 2
    SIGNED = 3
    REAL = 4
    DOUBLE = 5
    BITS = 8
    ENUMERATED = 9


class State(IntEnum):
    """What came for one reference."""

    VALUE = 0
    NULL = 1
    ERROR = 2
    NOT_A_NUMBER = 3
    MISSING = 4


class GarbledAnswer(ValueError):  # noqa: N818 - it names what came, as the fault does
    """The answer breaks the encoding rules."""


class Field(NamedTuple):
    """Where one result stands in an answer. start, end: its tagged value, for traces."""

    reference: tuple[int, int, int, int | None]
    state: State
    start: int
    end: int
    tag: Tag = Tag.NULL
    content: int = 0
    width: int = 0
    error: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded answer; each array has one entry for each reference of the request.

    value: float64, NaN where state is not VALUE; bit strings give their first octet. state: uint8 codes of
    `State`. errors: (class, code) by position. raw: the tagged value as hex by position, when traced.
    """

    value: Floats
    state: NDArray[np.uint8]
    errors: Mapping[int, tuple[int, int]]
    raw: Mapping[int, str]


def encode_references(references: Sequence[Reference]) -> bytes:
    """The service parameters of a ReadPropertyMultiple request; neighbours share their object's header."""
    out = bytearray()
    for (kind, instance), group in groupby(references, key=lambda ref: (ref.object_type, ref.instance)):
        out.append(_OBJECT_IDENTIFIER)
        out += ((kind << 22) | instance).to_bytes(4, "big")
        out.append(_OPEN_RESULTS)
        for reference in group:
            out += _context_unsigned(0, reference.property)
            if reference.array_index is not None:
                out += _context_unsigned(1, reference.array_index)
        out.append(_CLOSE_RESULTS)
    return bytes(out)


def tagged_number(tag: int, content: bytes) -> float | None:
    """The number in one application-tagged value, None where it is none.

    tag: the application tag's number. content: its octets; a boolean's is its tag's length field.
    """
    if tag in (Tag.BOOLEAN, Tag.UNSIGNED, Tag.ENUMERATED):
        return float(int.from_bytes(content, "big"))
    if tag == Tag.SIGNED:
        return float(int.from_bytes(content, "big", signed=True))
    if tag == Tag.REAL and len(content) == 4:
        return float(np.frombuffer(content, ">f4")[0])
    if tag == Tag.DOUBLE and len(content) == 8:
        return float(np.frombuffer(content, ">f8")[0])
    if tag == Tag.BITS and len(content) > 1:
        return float(content[1])
    return None


class AnswerDecoder:
    """Decodes the answers to one request, remembering the shape of the last one."""

    __slots__ = ("_references", "_shape")

    def __init__(self, references: Sequence[Reference]) -> None:
        self._references = tuple(references)
        self._shape: Shape | None = None

    def decode(self, payload: bytes, *, trace: bool = False) -> Answer:
        """Decode the service parameters of an answer; raises GarbledAnswer."""
        octets = np.frombuffer(payload, np.uint8)
        if self._shape is None or not self._shape.matches(octets):
            self._shape = Shape(octets, list(parse_answer(payload)), self._references)
        return self._shape.read(octets, trace)


class Shape:
    """Where the values stand in an answer, and the bytes around them."""

    __slots__ = ("_columns", "_errors", "_mask", "_skeleton", "_spans", "_state")

    def __init__(self, octets: Bytes, fields: Sequence[Field], references: Sequence[Reference]) -> None:
        places = {reference: place for place, reference in enumerate(references)}
        found = {places[f.reference]: f for f in fields if f.reference in places}
        self._state = np.full(len(references), State.MISSING, np.uint8)
        for place, field in found.items():
            self._state[place] = field.state
        self._errors = {place: f.error for place, f in found.items() if f.state is State.ERROR}
        self._spans = {place: (f.start, f.end) for place, f in found.items()}
        self._columns = list(_columns(found))
        self._mask = _mask(len(octets), found.values())
        self._skeleton = octets & self._mask

    def matches(self, octets: Bytes) -> bool:
        return len(octets) == len(self._mask) and bool(np.array_equal(octets & self._mask, self._skeleton))

    def read(self, octets: Bytes, trace: bool) -> Answer:
        value = np.full(len(self._state), np.nan)
        for column in self._columns:
            value[column.places] = column.read(octets)
        raw = (
            {p: octets[start:end].tobytes().hex() for p, (start, end) in self._spans.items()} if trace else {}
        )
        return Answer(value, self._state, self._errors, raw)


class Column(NamedTuple):
    """Values of one tag and width. octets: shape (n, width), the index of each octet in the answer."""

    tag: Tag
    width: int
    places: NDArray[np.intp]
    octets: NDArray[np.intp]

    def read(self, answer: Bytes) -> Floats:
        """The values as float64, shape (n,)."""
        part = answer[self.octets]
        if self.tag is Tag.REAL:
            return part.view(">f4")[:, 0].astype(np.float64)
        if self.tag is Tag.DOUBLE:
            return part.view(">f8")[:, 0].astype(np.float64)
        if self.tag is Tag.BOOLEAN:
            return (part[:, 0] & 0x07).astype(np.float64)
        wide = np.zeros((len(part), 8), np.uint8)
        wide[:, 8 - self.width :] = part
        if self.tag is Tag.SIGNED:
            unused = 64 - 8 * self.width
            return ((wide.view(">i8")[:, 0].astype(np.int64) << unused) >> unused).astype(np.float64)
        return wide.view(">u8")[:, 0].astype(np.float64)


def parse_answer(data: bytes) -> Iterator[Field]:
    """The results of an answer in their order; raises GarbledAnswer."""
    at = 0
    try:
        while at < len(data):
            if data[at] != _OBJECT_IDENTIFIER or data[at + 5] != _OPEN_RESULTS:
                raise GarbledAnswer(f"no object identifier at octet {at}")
            object_id = int.from_bytes(data[at + 1 : at + 5], "big")
            at += 6
            while data[at] != _CLOSE_RESULTS:
                prop, at = _unsigned(data, at, 2)
                index = None
                if data[at] >> 3 == 0b00111:  # context tag 3
                    index, at = _unsigned(data, at, 3)
                field = _result(data, at, (object_id >> 22, object_id & 0x3FFFFF, prop, index))
                yield field
                at = field.end + 1
            at += 1
    except IndexError:
        raise GarbledAnswer("the answer ends early") from None


def _result(data: bytes, at: int, reference: tuple[int, int, int, int | None]) -> Field:
    start = at + 1
    if data[at] == _OPEN_ERROR:
        group, code_at, group_len = _primitive(data, start)
        code, end, code_len = _primitive(data, code_at + group_len)
        end += code_len
        if data[end] != _CLOSE_ERROR or group != Tag.ENUMERATED or code != Tag.ENUMERATED:
            raise GarbledAnswer(f"no error at octet {at}")
        error = (
            int.from_bytes(data[code_at : code_at + group_len], "big"),
            int.from_bytes(data[end - code_len : end], "big"),
        )
        return Field(reference, State.ERROR, start, end, error=error)
    if data[at] != _OPEN_VALUE:
        raise GarbledAnswer(f"neither a value nor an error at octet {at}")
    if not data[start] & 0x08 and data[start] != _CLOSE_VALUE:
        tag, content, width = _primitive(data, start)
        if data[content + width] == _CLOSE_VALUE:
            return _plain(reference, start, content + width, tag, content, width)
    return Field(reference, State.NOT_A_NUMBER, start, _closing(data, start))


def _plain(
    reference: tuple[int, int, int, int | None], start: int, end: int, tag: int, content: int, width: int
) -> Field:
    """A result that is one application-tagged value."""
    if tag == Tag.NULL:
        return Field(reference, State.NULL, start, end)
    if tag == Tag.BOOLEAN:  # the value is in the tag itself
        return Field(reference, State.VALUE, start, end, Tag.BOOLEAN, start, 1)
    if tag == Tag.BITS and width > 1:  # the first octet counts unused bits
        return Field(reference, State.VALUE, start, end, Tag.BITS, content + 1, 1)
    fixed = {Tag.REAL: 4, Tag.DOUBLE: 8}
    whole = tag in (Tag.UNSIGNED, Tag.SIGNED, Tag.ENUMERATED) and 1 <= width <= 8
    if whole or (tag in fixed and fixed[Tag(tag)] == width):
        return Field(reference, State.VALUE, start, end, Tag(tag), content, width)
    return Field(reference, State.NOT_A_NUMBER, start, end)


def _primitive(data: bytes, at: int) -> tuple[int, int, int]:
    """(tag number, where its content starts, its length) of the tag at `at`."""
    first = data[at]
    number, length = first >> 4, first & 0x07
    at += 1
    if number == 15:
        number = data[at]
        at += 1
    if first & 0x08 == 0 and number == Tag.BOOLEAN:
        return number, at, 0
    if length == 5:
        length = data[at]
        at += 1
        if length >= 254:
            size = 2 if length == 254 else 4
            length = int.from_bytes(data[at : at + size], "big")
            at += size
    return number, at, length


def _closing(data: bytes, at: int) -> int:
    """Where the value that starts at `at` is closed, nested values skipped."""
    depth = 0
    while depth or data[at] != _CLOSE_VALUE:
        kind = data[at] & 0x0F
        if kind in (0x0E, 0x0F):
            depth += 1 if kind == 0x0E else -1
            at += 2 if data[at] >> 4 == 15 else 1
        else:
            _, content, length = _primitive(data, at)
            at = content + length
    return at


def _unsigned(data: bytes, at: int, context: int) -> tuple[int, int]:
    """(value, next position) of a context-tagged unsigned."""
    width = data[at] & 0x07
    if data[at] & 0xF8 != (context << 4) | 0x08 or not 1 <= width <= 4:
        raise GarbledAnswer(f"no context tag {context} at octet {at}")
    return int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width


def _context_unsigned(context: int, value: int) -> bytes:
    width = max(1, (value.bit_length() + 7) // 8)
    return bytes([(context << 4) | 0x08 | width]) + value.to_bytes(width, "big")


def _columns(found: Mapping[int, Field]) -> Iterator[Column]:
    kinds: dict[tuple[Tag, int], list[int]] = {}
    for place, field in found.items():
        if field.state is State.VALUE:
            kinds.setdefault((field.tag, field.width), []).append(place)
    for (tag, width), places in kinds.items():
        starts = np.array([found[place].content for place in places], np.intp)
        yield Column(tag, width, np.array(places, np.intp), starts[:, None] + np.arange(width))


def _mask(size: int, fields: Iterable[Field]) -> Bytes:
    """0xFF where an answer's octet belongs to its shape, 0 where it belongs to a value."""
    mask = np.full(size, 0xFF, np.uint8)
    for field in fields:
        if field.state is State.VALUE:
            mask[field.content : field.content + field.width] = 0xF8 if field.tag is Tag.BOOLEAN else 0
    return mask
