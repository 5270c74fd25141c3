"""Payloads that are no JSON: lines of text with separators, and packed binary records. Pure."""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Sequence

from drivers.mqtt.codec import Cut

_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_NUMBERS = frozenset("bBhHiIlLqQefd?")


def text_lines(separator: str, columns: int) -> Cut:
    """Cut a payload into lines of at least `columns` values; an empty value is None.

    A payload may have several lines, each a reading. Where the comma does not separate, it may be decimal.
    """

    def cell(text: str) -> str | None:
        text = text.strip()
        if separator != "," and _DECIMAL_COMMA.fullmatch(text):
            return text.replace(",", ".")
        return text or None

    def cut(payload: bytes) -> Sequence[Sequence[object]]:
        try:
            lines = [line for line in payload.decode().splitlines() if line.strip()]
        except UnicodeDecodeError:
            raise ValueError("payload is no text") from None
        quoted = b'"' in payload
        try:
            split = (
                list(csv.reader(lines, delimiter=separator))
                if quoted
                else [x.split(separator) for x in lines]
            )
        except csv.Error as error:
            raise ValueError(f"payload is no CSV ({error})") from None
        shortest = min(map(len, split), default=0)
        if shortest < columns:
            raise ValueError(f"payload has {shortest} columns, column {columns} is asked for")
        return [[cell(text) for text in line] for line in split]

    return cut


def packed_record(layout: str) -> Cut:
    """Cut a payload of exactly the layout's size; a layout as `check_layout` accepts it."""
    record = struct.Struct(layout)

    def cut(payload: bytes) -> Sequence[Sequence[object]]:
        if len(payload) != record.size:
            raise ValueError(f"payload has {len(payload)} bytes, struct {layout} needs {record.size}")
        return [record.unpack(payload)]

    return cut


def check_layout(layout: str) -> int:
    """How many values a struct layout has; raises ValueError with what to write instead.

    The byte order must be said: without it the layout would depend on the machine the gateway runs on.
    """
    if layout[:1] not in ("<", ">", "!"):
        raise ValueError(
            f"struct {layout!r} does not say the byte order: begin with > (big-endian) or < (little-endian)"
        )
    try:
        values = struct.unpack(layout, bytes(struct.calcsize(layout)))
    except struct.error as error:
        raise ValueError(
            f"struct {layout!r} is not a layout ({error}): write for example '>hHf', x skips a byte"
        ) from None
    codes = set(re.sub(r"[<>!\d\s]", "", layout))
    if strange := codes - _NUMBERS - {"x"}:
        named = ", ".join(sorted(strange))
        raise ValueError(f"struct {layout!r}: {named} is no number; skip its bytes with x (4x for four)")
    if not values:
        raise ValueError(f"struct {layout!r} has no value: write for example '>hHf'")
    return len(values)
