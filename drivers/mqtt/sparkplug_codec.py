"""Sparkplug B payloads: metrics with names, aliases, times and values. Pure.

Field numbers and data types are those of the Sparkplug 3.0 specification, section 6.4. Sets, templates and
arrays are passed over: a point is one number.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from drivers.mqtt.protobuf import BYTES, VARINT, Value, bytes_field, fields, fixed_field, varint_field

BOOLEAN, DOUBLE, STRING = 11, 10, 12
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
"""Data type to bits; the wire has signed numbers as unsigned ones of their width."""


@dataclass(frozen=True, slots=True)
class Metric:
    """name: '' where only the alias is sent. time_ms: since 1970. value: None for null and for tables."""

    name: str = ""
    alias: int | None = None
    time_ms: int | None = None
    datatype: int = 0
    value: float | str | None = None
    historical: bool = False


@dataclass(frozen=True, slots=True)
class SparkplugPayload:
    """seq: 0 to 255, the place among the node's messages; deaths have none."""

    metrics: tuple[Metric, ...] = ()
    seq: int | None = None
    time_ms: int | None = None


def decode_payload(data: bytes) -> SparkplugPayload:
    """Raises ValueError for what is no Sparkplug B payload."""
    metrics: list[Metric] = []
    seq = time_ms = None
    for number, kind, value in fields(data):
        if number == 1 and kind == VARINT:
            time_ms = _int(value)
        elif number == 2 and kind == BYTES:
            metrics.append(_metric(_bytes(value)))
        elif number == 3 and kind == VARINT:
            seq = _int(value) & 0xFF
    return SparkplugPayload(tuple(metrics), seq, time_ms)


def encode_payload(metrics: Sequence[Metric], time_ms: int, seq: int | None = None) -> bytes:
    """A payload of numbers, booleans and texts: what a rebirth request needs, and a simulated node sends."""
    parts = [varint_field(1, time_ms), *(bytes_field(2, _encode(metric)) for metric in metrics)]
    return b"".join(parts if seq is None else [*parts, varint_field(3, seq)])


def _metric(data: bytes) -> Metric:
    found: dict[int, Value] = {number: value for number, _, value in fields(data)}
    datatype = _int(found.get(4, 0))
    return Metric(
        name=_bytes(found.get(1, b"")).decode("utf-8", "replace"),
        alias=_int(found[2]) if 2 in found else None,
        time_ms=_int(found[3]) if 3 in found else None,
        datatype=datatype,
        value=None if found.get(7) else _value(found, datatype),
        historical=bool(found.get(5)),
    )


def _value(found: dict[int, Value], datatype: int) -> float | str | None:
    if 10 in found or 11 in found:
        return float(_signed(_int(found.get(10, found.get(11, 0))), 10 in found, datatype))
    if 12 in found:
        return float(_unpacked("<f", found[12]))
    if 13 in found:
        return float(_unpacked("<d", found[13]))
    if 14 in found:
        return 1.0 if found[14] else 0.0
    if 15 in found:
        return _bytes(found[15]).decode("utf-8", "replace")
    return None


def _signed(number: int, narrow: bool, datatype: int) -> int:
    """Senders write a negative number in its own width, in 32 bits or in 64: all end with the same bits."""
    bits = _SIGNED.get(datatype)
    if bits is None:
        return number & 0xFFFFFFFF if narrow else number
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def _unpacked(layout: str, value: Value) -> float:
    raw = _bytes(value)
    if len(raw) != struct.calcsize(layout):
        return nan
    number: float = struct.unpack(layout, raw)[0]
    return number


def _encode(metric: Metric) -> bytes:
    parts = [bytes_field(1, metric.name.encode())] if metric.name else []
    if metric.alias is not None:
        parts.append(varint_field(2, metric.alias))
    if metric.time_ms is not None:
        parts.append(varint_field(3, metric.time_ms))
    if metric.datatype:
        parts.append(varint_field(4, metric.datatype))
    if metric.historical:
        parts.append(varint_field(5, 1))
    return b"".join([*parts, _encode_value(metric)])


def _encode_value(metric: Metric) -> bytes:
    if metric.value is None:
        return varint_field(7, 1)
    if isinstance(metric.value, str):
        return bytes_field(15, metric.value.encode())
    if metric.datatype == BOOLEAN:
        return varint_field(14, int(metric.value))
    if metric.datatype in _SIGNED and _SIGNED[metric.datatype] < 64:
        return varint_field(10, int(metric.value) & 0xFFFFFFFF)
    if metric.datatype == 4:
        return varint_field(11, int(metric.value) & 0xFFFFFFFFFFFFFFFF)
    return fixed_field(13, struct.pack("<d", metric.value))


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("a field that is a number came as text")
    return value


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field that is text came as a number")
    return value
