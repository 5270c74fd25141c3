"""Columns to bytes and back: narrow, delta or scale, byte-shuffle, then zstd; exact to the bit.

A column is stored as a one-byte mode, what the mode needs, and its bytes; the columns of one blob are
joined and compressed together. Every transformation is undone exactly: -0.0, NaN payloads and 64-bit
wrap-around survive. Integrity is not the codec's: rows and chunks carry a CRC32C of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from gateway.store.errors import CorruptBlobError

IntColumn = NDArray[np.int64]
FloatColumn = NDArray[np.float64]

_CONSTANT, _STEPS, _DELTAS = 0, 1, 2
_RAW, _SINGLE, _DECIMAL = 3, 4, 5
_MASKED = 0x80
"""Flag on a float mode: a bit mask of the NaNs goes before the values that are left."""
_WIDTHS = (np.dtype("<i1"), np.dtype("<i2"), np.dtype("<i4"), np.dtype("<i8"))
_BY_WIDTH = {width.itemsize: width for width in _WIDTHS}
_POWERS = (1.0, 10.0, 100.0, 1000.0, 10000.0)
_PROBE = 16
_EXACT = float(2**53)
_STEPS_HEAD = struct.Struct("<qq")
_DELTAS_HEAD = struct.Struct("<qqqB")
_QUIET_NAN = np.array([np.nan]).view(np.int64)[0]


class Codec:
    """Encoder and decoder with their zstd contexts. Not thread-safe: one for each thread that needs one."""

    def __init__(self, level: int = 1) -> None:
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=False)
        self._decompressor = zstandard.ZstdDecompressor()

    def compress(self, body: bytes) -> bytes:
        return self._compressor.compress(body)

    def decompress(self, blob: bytes) -> bytes:
        """Undo `compress`. Raises CorruptBlobError."""
        try:
            return self._decompressor.decompress(blob)
        except zstandard.ZstdError as error:
            raise CorruptBlobError(f"zstd: {error}") from None

    def encode(self, columns: Sequence[NDArray[np.generic]]) -> bytes:
        """Encode columns of one length: float64 exactly, integers of any width as int64."""
        parts: list[bytes] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for column in columns:
                if column.dtype == np.float64:
                    _put_floats(parts, np.ascontiguousarray(column, np.float64))
                else:
                    _put_ints(parts, np.ascontiguousarray(column, np.int64))
        return self.compress(b"".join(parts))

    def decode(self, blob: bytes, n: int, layout: str) -> list[NDArray[np.int64] | NDArray[np.float64]]:
        """Decode columns of length n; `layout` names each column's type: 'i' int64, 'f' float64.

        Raises CorruptBlobError when the bytes do not hold that.
        """
        cursor = _Cursor(self.decompress(blob))
        try:
            return [_take_floats(cursor, n) if kind == "f" else _take_ints(cursor, n) for kind in layout]
        except (ValueError, IndexError, struct.error) as error:
            raise CorruptBlobError(f"columns: {error}") from None


class _Cursor:
    """A place in a byte string."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def int64(self) -> int:
        (value,) = struct.unpack_from("<q", self.data, self.at)
        self.at += 8
        return int(value)

    def fields(self, layout: struct.Struct) -> tuple[int, ...]:
        values = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return values

    def array(self, dtype: np.dtype[Any], n: int) -> NDArray[Any]:
        found = np.frombuffer(self.data, dtype, n, self.at)
        self.at += n * dtype.itemsize
        return found

    def shuffled(self, dtype: np.dtype[Any], n: int) -> NDArray[Any]:
        width = dtype.itemsize
        planes = self.array(np.dtype(np.uint8), n * width).reshape(width, n)
        return np.ascontiguousarray(planes.T).view(dtype).reshape(n)


def _shuffle(column: NDArray[np.generic]) -> bytes:
    """Bytes grouped by their place in the value: the high bytes, mostly alike, end up side by side."""
    width = column.dtype.itemsize
    if width == 1:
        return column.tobytes()
    return column.view(np.uint8).reshape(-1, width).T.tobytes()


def _put_ints(parts: list[bytes], column: IntColumn) -> None:
    n = len(column)
    if n == 0:
        return
    first = int(column[0])
    if n == 1:
        parts.append(struct.pack("<Bq", _CONSTANT, first))
        return
    deltas = np.diff(column)
    low, high = int(deltas.min()), int(deltas.max())
    if low == high == 0:
        parts.append(struct.pack("<Bq", _CONSTANT, first))
    elif low == high:
        parts.append(struct.pack("<Bqq", _STEPS, first, low))
    else:
        _put_deltas(parts, first, deltas, low, high)


def _put_deltas(parts: list[bytes], first: int, deltas: IntColumn, low: int, high: int) -> None:
    """Deltas less their smallest, over their greatest common divisor: times on a grid become small steps."""
    span = high - low
    unit = 1
    if 0 < span < 2**62:
        shifted = deltas - low
        unit = int(np.gcd.reduce(shifted))
        steps = shifted // unit if unit > 1 else shifted
        width = _narrowest(span // unit)
    else:
        low, steps, width = 0, deltas, _WIDTHS[3]
    parts.append(struct.pack("<BqqqB", _DELTAS, first, low, unit, width.itemsize))
    parts.append(_shuffle(steps.astype(width)))


def _narrowest(highest: int) -> np.dtype[Any]:
    for width in _WIDTHS:
        if highest < 1 << (8 * width.itemsize - 1):
            return width
    return _WIDTHS[3]


def _take_ints(cursor: _Cursor, n: int) -> IntColumn:
    if n == 0:
        return np.empty(0, np.int64)
    mode = cursor.byte()
    if mode == _CONSTANT:
        return np.full(n, cursor.int64(), np.int64)
    if mode == _STEPS:
        first, low = cursor.fields(_STEPS_HEAD)
        return first + low * np.arange(n, dtype=np.int64)
    if mode != _DELTAS:
        raise ValueError(f"mode {mode} is no integer mode")
    first, low, unit, width = cursor.fields(_DELTAS_HEAD)
    if width not in _BY_WIDTH:
        raise ValueError(f"no integer has {width} bytes")
    column = np.empty(n, np.int64)
    column[0] = first
    deltas = column[1:]
    deltas[:] = cursor.shuffled(_BY_WIDTH[width], n - 1)
    if unit != 1:
        deltas *= unit
    if low:
        deltas += low
    return np.cumsum(column, out=column)


def _put_floats(parts: list[bytes], column: FloatColumn) -> None:
    if len(column) == 0:
        return
    missing = np.isnan(column)
    if not missing.any():
        _put_numbers(parts, column, 0)
    elif np.any(column.view(np.int64)[missing] != _QUIET_NAN):
        parts.append(bytes((_RAW,)))
        parts.append(_shuffle(column))
    else:
        parts.append(struct.pack("<BI", _MASKED, int(len(column) - missing.sum())))
        parts.append(np.packbits(missing).tobytes())
        if not missing.all():
            _put_numbers(parts, column[~missing], 0)


def _put_numbers(parts: list[bytes], column: FloatColumn, flag: int) -> None:
    bits = column.view(np.int64)
    if (bits == bits[0]).all():
        parts.append(struct.pack("<Bq", _CONSTANT | flag, int(bits[0])))
        return
    some = column[:: len(column) // _PROBE + 1].tolist()
    for power, factor in enumerate(_POWERS):
        if all(_may_be_decimal(value, factor) for value in some):
            scaled = np.rint(column * factor)
            if _is_decimal(column, scaled, factor):
                parts.append(bytes((_DECIMAL | flag, power)))
                _put_ints(parts, scaled.astype(np.int64))
                return
    single = column.astype(np.float32)
    if (single.astype(np.float64).view(np.int64) == bits).all():
        parts.append(bytes((_SINGLE | flag,)))
        parts.append(_shuffle(single))
        return
    parts.append(bytes((_RAW | flag,)))
    parts.append(_shuffle(column))


def _may_be_decimal(value: float, factor: float) -> bool:
    """What one value says of its column; most columns of measured means are done with after one."""
    scaled = value * factor
    return abs(scaled) < _EXACT and round(scaled) / factor == value


def _is_decimal(column: FloatColumn, scaled: FloatColumn, factor: float) -> bool:
    """Whether each value is exactly an integer over `factor`, as a meter's register is."""
    if not (np.abs(scaled) < _EXACT).all():
        return False
    # Bits, not values: -0.0 is not the 0.0 that would come back.
    back = scaled.astype(np.int64) / factor
    return bool((back.view(np.int64) == column.view(np.int64)).all())


def _take_floats(cursor: _Cursor, n: int) -> FloatColumn:
    if n == 0:
        return np.empty(0, np.float64)
    mode = cursor.byte()
    if mode != _MASKED:
        return _take_numbers(cursor, n, mode)
    (kept,) = struct.unpack_from("<I", cursor.data, cursor.at)
    cursor.at += 4
    packed = cursor.array(np.dtype(np.uint8), (n + 7) // 8)
    missing = np.unpackbits(packed, count=n).astype(bool)
    column = np.full(n, np.nan)
    if kept:
        column[~missing] = _take_numbers(cursor, kept, cursor.byte())
    return column


def _take_numbers(cursor: _Cursor, n: int, mode: int) -> FloatColumn:
    if mode == _CONSTANT:
        return np.full(n, cursor.int64(), np.int64).view(np.float64)
    if mode == _DECIMAL:
        factor = _POWERS[cursor.byte()]
        return _take_ints(cursor, n) / factor
    if mode == _SINGLE:
        return cursor.shuffled(np.dtype("<f4"), n).astype(np.float64)
    if mode == _RAW:
        return cursor.shuffled(np.dtype("<f8"), n).astype(np.float64)
    raise ValueError(f"mode {mode} is no float mode")
