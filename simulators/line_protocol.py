"""Reading InfluxDB line protocol the way a server does. For the simulated cloud, and to check our encoder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

SCALE = {"ns": 1, "n": 1, "us": 1_000, "u": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
"""Precision of a write request -> nanoseconds."""

Field = float | int | str | bool

_NUMBER = re.compile(rb"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_FIELD = re.compile(
    rb'((?:\\.|[^\\,=" ])+)=(?:"((?:\\.|[^"\\])*)"|([^," ]+))(,|$)',
    re.DOTALL,
)
_TRUE = (b"t", b"T", b"true", b"True", b"TRUE")
_FALSE = (b"f", b"F", b"false", b"False", b"FALSE")


class MalformedLine(ValueError):  # noqa: N818  (the server's own words are "unable to parse")
    """A line that no server takes; the message is in InfluxDB's words."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line in its three parts, still as bytes; time in ns."""

    key: bytes
    fields: bytes
    time: int


@dataclass(frozen=True, slots=True)
class SeriesName:
    """A series key taken apart."""

    measurement: str
    tags: Mapping[str, str]


def split(body: bytes, scale: int, now_ns: int) -> tuple[list[Line], list[str]]:
    """The lines of a body and, for those that are malformed, InfluxDB's complaints.

    scale: nanoseconds per unit of the timestamps. now_ns: for lines without one.
    """
    lines: list[Line] = []
    complaints: list[str] = []
    for raw in body.split(b"\n"):
        if not raw or raw.isspace() or raw.startswith(b"#"):
            continue
        try:
            lines.append(_split_line(raw, scale, now_ns))
        except MalformedLine as error:
            complaints.append(f"unable to parse '{raw.decode(errors='replace')}': {error}")
    return lines, complaints


def _split_line(raw: bytes, scale: int, now_ns: int) -> Line:
    parts = raw.split(b" ")
    if len(parts) != 3 or b'"' in parts[1] or b"\\" in parts[0]:
        parts = _split_carefully(raw)
    key, fields, stamp = parts
    if not key or key[:1] == b",":
        raise MalformedLine("missing measurement")
    if not plain_numbers(fields):
        parse_fields(fields)
    try:
        time = int(stamp) * scale if stamp else now_ns
    except ValueError:
        raise MalformedLine("bad timestamp") from None
    return Line(key, fields, time)


def _split_carefully(raw: bytes) -> list[bytes]:
    """Key, fields, time of a line with escapes or quotes."""
    key_end = _first_bare_space(raw, 0, quotes=False)
    if key_end < 0:
        raise MalformedLine("missing fields")
    fields_end = _first_bare_space(raw, key_end + 1, quotes=True)
    if fields_end < 0:
        return [raw[:key_end], raw[key_end + 1 :], b""]
    return [raw[:key_end], raw[key_end + 1 : fields_end], raw[fields_end + 1 :].strip()]


def _first_bare_space(raw: bytes, start: int, *, quotes: bool) -> int:
    quoted, at = False, start
    while at < len(raw):
        byte = raw[at]
        if byte == 0x5C:
            at += 1
        elif byte == 0x22 and quotes:
            quoted = not quoted
        elif byte == 0x20 and not quoted:
            return at
        at += 1
    return -1


_PLAIN = re.compile(rb"[\w.]+=-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:,[\w.]+=-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)*")
plain_numbers = _PLAIN.fullmatch
"""Whether fields are nothing but plain floats: the common case, checked without taking them apart."""


def parse_fields(text: bytes) -> dict[str, Field]:
    """Fields by name; raises MalformedLine."""
    out: dict[str, Field] = {}
    at = 0
    while at < len(text):
        found = _FIELD.match(text, at)
        if found is None:
            raise MalformedLine("invalid field format")
        name, quoted, bare, separator = found.groups()
        value: Field = _unescape_string(quoted) if quoted is not None else _bare_value(bare)
        out[_unescape_key(name)] = value
        at = found.end()
        if separator == b"," and at == len(text):
            raise MalformedLine("missing field key")
    if not out:
        raise MalformedLine("missing fields")
    return out


def parse_key(key: bytes) -> SeriesName:
    """Measurement and tags of a series key; raises MalformedLine."""
    measurement, *tags = re.split(rb"(?<!\\),", key)
    out: dict[str, str] = {}
    for tag in tags:
        name, found, value = _partition_bare(tag)
        if not (name and found and value):
            raise MalformedLine("missing tag value")
        out[_unescape_key(name)] = _unescape_key(value)
    return SeriesName(_unescape_key(measurement), out)


def _partition_bare(tag: bytes) -> tuple[bytes, bytes, bytes]:
    parts = re.split(rb"(?<!\\)=", tag, maxsplit=1)
    return (parts[0], b"=", parts[1]) if len(parts) == 2 else (tag, b"", b"")


def _bare_value(text: bytes) -> Field:
    if _NUMBER.fullmatch(text):
        return float(text)
    if text[-1:] in b"iu" and text[:-1].lstrip(b"-").isdigit():
        return int(text[:-1])
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise MalformedLine("invalid number")


def _unescape_key(text: bytes) -> str:
    return re.sub(rb"\\([,= ])", rb"\1", text).decode(errors="replace")


def _unescape_string(text: bytes) -> str:
    return re.sub(rb'\\(["\\])', rb"\1", text).decode(errors="replace")
