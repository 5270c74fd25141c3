"""Registers to values and back. Pure: bytes in, columns out.

A `Decoder` is compiled once for the points of a plan. It gathers, for each number type, the bytes of all its
points from the answer in one indexing step - the word order is part of the index - and reads them as one
array. No step of a poll loops over points.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from drivers.base import Quality
from drivers.modbus.settings import PointSettings, Table
from drivers.modbus.types import REGISTER_TYPES, RegisterType, wire_positions

Values = NDArray[np.float64]
Qualities = NDArray[np.uint8]
_LARGEST_EXPONENT: Final = 10


class EncodeError(ValueError):
    """The value does not fit the type; the message names both."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A point whose first byte in the answer buffer is known.

    bit: the lowest of its bits: of that byte for coils and discrete inputs, of the word for registers.
    """

    settings: PointSettings
    byte: int
    bit: int = 0


@dataclass(frozen=True, slots=True)
class _Numbers:
    """All points of one type. bytes_at: shape (n, width), least significant byte first."""

    dtype: np.dtype[np.generic]
    unsigned: str
    rows: NDArray[np.intp]
    bytes_at: NDArray[np.intp]
    absent: NDArray[np.uint64] | None
    has_absent: NDArray[np.bool_] | None
    nan_is_absent: NDArray[np.bool_] | None
    is_bcd: bool = False

    def decode(self, buffer: NDArray[np.uint8], values: Values, quality: Qualities) -> None:
        raw = buffer[self.bytes_at]
        numbers = raw.view(self.dtype)[:, 0]
        if self.is_bcd:
            numbers, wrong = _from_bcd(numbers)
            quality[self.rows[wrong]] = Quality.BAD_VALUE
        values[self.rows] = numbers
        if self.dtype.kind == "f":
            wrong = ~np.isfinite(values[self.rows])
            if wrong.any():
                quality[self.rows[wrong]] = Quality.BAD_VALUE
                if self.nan_is_absent is not None:
                    missing = np.isnan(values[self.rows]) & self.nan_is_absent
                    quality[self.rows[missing]] = Quality.NOT_AVAILABLE
        if self.absent is not None:
            missing = (raw.view(self.unsigned)[:, 0] == self.absent) & self.has_absent
            quality[self.rows[missing]] = Quality.NOT_AVAILABLE


@dataclass(frozen=True, slots=True)
class _Bits:
    """All bits and groups of bits, of coils and of registers; of a coil both bytes are the one it lies in."""

    rows: NDArray[np.intp]
    low_at: NDArray[np.intp]
    high_at: NDArray[np.intp]
    shift: NDArray[np.uint16]
    mask: NDArray[np.uint16]

    def decode(self, buffer: NDArray[np.uint8], values: Values) -> None:
        words = buffer[self.low_at].astype(np.uint16) | buffer[self.high_at].astype(np.uint16) << 8
        values[self.rows] = words >> self.shift & self.mask


@dataclass(frozen=True, slots=True)
class ScaleFactors:
    """Points scaled by a power of ten that the device tells: row `rows[i]` by that in row `by[i]`."""

    rows: NDArray[np.intp]
    by: NDArray[np.intp]

    @classmethod
    def of(cls, settings: Sequence[PointSettings], row_of: Mapping[tuple[Table, int], int]) -> Self | None:
        """None when no point has one. row_of: where each scale factor's register is decoded to."""
        pairs = [(row, row_of[s.space, s.sf]) for row, s in enumerate(settings) if s.sf is not None]
        if not pairs:
            return None
        rows, by = zip(*pairs, strict=True)
        return cls(np.array(rows, np.intp), np.array(by, np.intp))

    def apply(self, values: Values, quality: Qualities) -> None:
        """Scale in place; a point whose factor is bad is bad for the same reason.

        SunSpec allows -10 to 10. Dividing by a power of ten keeps the last digit where multiplying would not.
        """
        exponent = values[self.by]
        quality[self.rows] = np.maximum(quality[self.rows], quality[self.by])
        quality[self.rows[np.abs(exponent) > _LARGEST_EXPONENT]] = Quality.BAD_VALUE
        power = 10.0 ** np.minimum(np.abs(exponent), _LARGEST_EXPONENT)
        values[self.rows] = np.where(exponent < 0, values[self.rows] / power, values[self.rows] * power)
        values[self.rows[quality[self.rows] > 0]] = np.nan


class Decoder:
    """The compiled decoding of one answer buffer into the points' values."""

    def __init__(self, points: Sequence[Placed]) -> None:
        by_type: dict[RegisterType, list[int]] = defaultdict(list)
        for row, point in enumerate(points):
            by_type[point.settings.decoded_type].append(row)
        bits = by_type.pop(RegisterType.BIT, [])
        self._count = len(points)
        self._numbers = [_numbers(kind, rows, points) for kind, rows in by_type.items()]
        self._bits = _bits(bits, points) if bits else None
        factors = [_factor(p.settings.scale) for p in points]
        self._multiplier = _unless_all(1.0, [multiplier for multiplier, _ in factors])
        self._divisor = _unless_all(1.0, [divisor for _, divisor in factors])
        self._offset = _unless_all(0.0, [p.settings.offset for p in points])

    def decode(self, buffer: bytes | bytearray | memoryview) -> tuple[Values, Qualities]:
        """Values [device units] and qualities, one per point; NaN where the quality is bad.

        A sentinel is NOT_AVAILABLE, a NaN or infinite float is BAD_VALUE. Integers beyond 2^53 lose their
        last digits in float64.
        """
        data = np.frombuffer(buffer, np.uint8)
        values = np.empty(self._count)
        quality = np.zeros(self._count, np.uint8)
        for numbers in self._numbers:
            numbers.decode(data, values, quality)
        if self._bits is not None:
            self._bits.decode(data, values)
        if self._multiplier is not None:
            values *= self._multiplier
        if self._divisor is not None:
            values /= self._divisor
        if self._offset is not None:
            values += self._offset
        if quality.any():
            values[quality > 0] = np.nan
        return values, quality


def decode(settings: PointSettings, payload: bytes) -> tuple[float, Quality]:
    """One point from its own bytes, before any `sf`: for a tool or a test; a poll uses `Decoder`."""
    values, quality = Decoder([Placed(settings, 0, settings.bit or 0)]).decode(payload)
    return float(values[0]), Quality(int(quality[0]))


def encode(settings: PointSettings, value: float) -> bytes:
    """The bytes a device would send for `value` [device unit]; NaN gives the sentinel.

    Bits of a register give a word with only those; a coil gives one byte, 0 or 1. A scale factor (`sf`) is
    not applied. Raises EncodeError when the type cannot hold the value.
    """
    kind = settings.decoded_type
    if kind is RegisterType.BIT:
        return _encode_bits(settings, value)
    layout = REGISTER_TYPES[kind]
    raw = _raw(settings, value)
    try:
        number = raw if layout.is_float else int(str(round(raw)), 16) if layout.is_bcd else round(raw)
        plain = struct.pack(layout.struct, number)
    except (struct.error, OverflowError) as error:
        raise EncodeError(f"{value} (raw {raw}) does not fit {kind}: {error}") from None
    wire = bytearray(len(plain))
    for significance, position in enumerate(wire_positions(layout.words, settings.order)):
        wire[position] = plain[significance]
    return bytes(wire)


def _encode_bits(settings: PointSettings, value: float) -> bytes:
    if settings.bits == 1:
        number = int(bool(value)) if isfinite(value) else 0
    else:
        number = round(value) if isfinite(value) else 0
    if not 0 <= number < 1 << settings.bits:
        raise EncodeError(f"{value} does not fit {settings.bits} bits")
    if settings.bit is None:
        return bytes([number])
    return (number << settings.bit).to_bytes(2, "little" if settings.order.low_byte_first else "big")


def _from_bcd(packed: NDArray[np.generic]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers of packed decimal digits, and which of them have a digit beyond 9."""
    words = packed.astype(np.uint64)
    numbers, wrong = np.zeros(len(words)), np.zeros(len(words), bool)
    for place in range(2 * packed.dtype.itemsize):
        digit = words >> np.uint64(4 * place) & np.uint64(15)
        wrong |= digit > 9
        numbers += digit * 10.0**place
    return numbers, wrong


def sentinel(settings: PointSettings) -> int | None:
    """The bit pattern, as an unsigned number, that means "not available"; None when there is none.

    `auto` and `sunspec` for floats are any NaN, which is no single pattern: None here.
    """
    marker, layout = settings.not_available, REGISTER_TYPES[settings.decoded_type]
    bits = 16 * layout.words
    if marker is None:
        return None
    if isinstance(marker, str):
        if layout.is_float:
            return None
        if not layout.is_signed:
            return (1 << bits) - 1
        return 1 << (bits - 1) if marker == "sunspec" else (1 << (bits - 1)) - 1
    if layout.is_float:
        return int.from_bytes(struct.pack(layout.struct, marker), "big")
    return int(marker) & ((1 << bits) - 1)


def _raw(settings: PointSettings, value: float) -> float:
    if not isnan(value):
        multiplier, divisor = _factor(settings.scale)
        return (value - settings.offset) * divisor / multiplier
    layout, absent = REGISTER_TYPES[settings.decoded_type], sentinel(settings)
    if layout.is_float and absent is None:
        return value
    if absent is None:
        raise EncodeError(
            f"{settings.decoded_type} without 'not_available' cannot say that there is no value"
        )
    number: float = struct.unpack(layout.struct, absent.to_bytes(2 * layout.words, "big"))[0]
    return number


def _factor(scale: float) -> tuple[float, float]:
    """(multiplier, divisor) of a scale: 0.1 divides by 10, so that 2301 gives 230.1 to the last digit."""
    divisor = round(1 / scale) if 1e-12 < abs(scale) < 1 else 1
    return (1.0, float(divisor)) if divisor != 1 and 1 / divisor == scale else (scale, 1.0)


def _unless_all(neutral: float, column: list[float]) -> Values | None:
    return None if all(x == neutral for x in column) else np.array(column)


def _numbers(kind: RegisterType, rows: list[int], points: Sequence[Placed]) -> _Numbers:
    layout = REGISTER_TYPES[kind]
    chosen = [points[row] for row in rows]
    # wire_positions runs from the most significant byte; arrays are little-endian on every machine we run on.
    index = [[p.byte + at for at in reversed(wire_positions(layout.words, p.settings.order))] for p in chosen]
    patterns = [sentinel(p.settings) for p in chosen]
    nan_absent = [layout.is_float and isinstance(p.settings.not_available, str) for p in chosen]
    some = any(pattern is not None for pattern in patterns)
    return _Numbers(
        dtype=np.dtype("<" + layout.dtype),
        unsigned=f"<u{2 * layout.words}",
        rows=np.array(rows, np.intp),
        bytes_at=np.array(index, np.intp),
        absent=np.array([pattern or 0 for pattern in patterns], np.uint64) if some else None,
        has_absent=np.array([pattern is not None for pattern in patterns]) if some else None,
        nan_is_absent=np.array(nan_absent) if any(nan_absent) else None,
        is_bcd=layout.is_bcd,
    )


def _bits(rows: list[int], points: Sequence[Placed]) -> _Bits:
    low = [points[row].byte + _low_byte(points[row].settings) for row in rows]
    high = [points[row].byte + _high_byte(points[row].settings) for row in rows]
    return _Bits(
        rows=np.array(rows, np.intp),
        low_at=np.array(low, np.intp),
        high_at=np.array(high, np.intp),
        shift=np.array([points[row].bit for row in rows], np.uint16),
        mask=np.array([(1 << points[row].settings.bits) - 1 for row in rows], np.uint16),
    )


def _low_byte(settings: PointSettings) -> int:
    return 0 if settings.space.holds_bits or settings.order.low_byte_first else 1


def _high_byte(settings: PointSettings) -> int:
    return 1 if not settings.space.holds_bits and settings.order.low_byte_first else 0
