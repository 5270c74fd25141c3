"""The few rules of protobuf's wire format that Sparkplug B needs. Pure.

A message is a run of fields, each a tag (number << 3 | type) and its value: type 0 a varint of 7-bit groups,
the lowest first; 1 eight bytes; 2 a length and as many bytes; 5 four bytes, little-endian (Protocol Buffers
encoding, "Message structure"). Other types are refused: proto2's groups are not used by anybody.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}

Value = int | bytes


def fields(data: bytes) -> Iterator[tuple[int, int, Value]]:
    """(number, wire type, value) of each field: a varint as int, all others as bytes.

    Raises ValueError when the message ends early or has a type that is not known.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, kind, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"field {tag >> 3} has wire type {kind}")
        if at + size > len(data):
            raise ValueError(f"field {tag >> 3} ends beyond the message")
        yield tag >> 3, kind, data[at : at + size]
        at += size


def varint_field(number: int, value: int) -> bytes:
    return _to_varint(number << 3 | VARINT) + _to_varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    return _to_varint(number << 3 | BYTES) + _to_varint(len(value)) + value


def fixed_field(number: int, value: bytes) -> bytes:
    """Four or eight bytes, little-endian as they are."""
    kind = FIXED32 if len(value) == 4 else FIXED64
    return _to_varint(number << 3 | kind) + value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at >= len(data):
            raise ValueError("a number ends beyond the message")
        group = data[at]
        at += 1
        value |= (group & 0x7F) << (7 * place)
        if group < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("a number has more than ten groups")


def _to_varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
