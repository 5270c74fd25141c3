"""The number types that registers carry, and the orders in which their bytes arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class WordOrder(StrEnum):
    """Order of the bytes on the wire, A the most significant.

    ABCD big-endian, CDAB low word first, BADC bytes swapped within each word, DCBA little-endian. For 64
    bits the same rule holds over four words; for 16 bits only the byte order matters.
    """

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"

    @property
    def low_word_first(self) -> bool:
        return self in (WordOrder.CDAB, WordOrder.DCBA)

    @property
    def low_byte_first(self) -> bool:
        return self in (WordOrder.BADC, WordOrder.DCBA)


class RegisterType(StrEnum):
    """How a point's bits are to be read."""

    BIT = "bit"
    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"


@dataclass(frozen=True, slots=True)
class Layout:
    """words: registers occupied. dtype: numpy's name, native byte order. struct: the big-endian format.

    is_bcd: each four bits are a decimal digit.
    """

    words: int
    dtype: str
    struct: str
    is_bcd: bool = False

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("f")

    @property
    def is_signed(self) -> bool:
        return self.dtype.startswith("i")


REGISTER_TYPES: Final[Mapping[RegisterType, Layout]] = MappingProxyType(
    {
        RegisterType.BIT: Layout(1, "u2", ">H"),
        RegisterType.U16: Layout(1, "u2", ">H"),
        RegisterType.I16: Layout(1, "i2", ">h"),
        RegisterType.U32: Layout(2, "u4", ">I"),
        RegisterType.I32: Layout(2, "i4", ">i"),
        RegisterType.U64: Layout(4, "u8", ">Q"),
        RegisterType.I64: Layout(4, "i8", ">q"),
        RegisterType.F32: Layout(2, "f4", ">f"),
        RegisterType.F64: Layout(4, "f8", ">d"),
        RegisterType.BCD16: Layout(1, "u2", ">H", is_bcd=True),
        RegisterType.BCD32: Layout(2, "u4", ">I", is_bcd=True),
    }
)


def wire_positions(words: int, order: WordOrder) -> tuple[int, ...]:
    """Where each byte of a number lies on the wire, from its most to its least significant byte.

    For 32 bits in CDAB: (2, 3, 0, 1).
    """
    word_order = range(words - 1, -1, -1) if order.low_word_first else range(words)
    byte_order = (1, 0) if order.low_byte_first else (0, 1)
    return tuple(2 * word + byte for word in word_order for byte in byte_order)
