"""Which numbers some registers may hold, the most plausible first. Pure.

Every reading (type x word order x an address one lower or higher) must explain all the registers that were
read: those it covers by the value it gives them, the rest as strangers. Its score is

    P(type) P(order) P(shift) x P(number | quantity, scale, unit) x P(each uncovered register)

P(number) is the prior density of the quantity (priors.py) at the scaled value times what one count of the
register is worth; summed over the usual scales and units. So a float must have a sane exponent, an integer
must not need billions of counts to be small, and a nought at the front speaks for the longer type. Readings
that give the same number are one `Decode`: they cannot be told apart, nor need they be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log2
from types import MappingProxyType
from typing import Final

import numpy as np

from drivers.modbus.types import REGISTER_TYPES, RegisterType, WordOrder, wire_positions
from gateway.installer.priors import COMMON, Floats, prior_of, units_of

_TYPES: Final[Mapping[RegisterType, float]] = MappingProxyType(
    {
        RegisterType.U16: 0.17, RegisterType.I16: 0.13, RegisterType.U32: 0.2, RegisterType.I32: 0.14,
        RegisterType.F32: 0.25, RegisterType.U64: 0.04, RegisterType.I64: 0.04, RegisterType.F64: 0.03,
    }
)  # fmt: skip
_ORDERS: Final = MappingProxyType(
    {WordOrder.ABCD: 0.75, WordOrder.CDAB: 0.2, WordOrder.BADC: 0.02, WordOrder.DCBA: 0.03}
)
_LONG_ORDERS: Final = MappingProxyType(
    {WordOrder.ABCD: 0.9, WordOrder.CDAB: 0.07, WordOrder.BADC: 0.01, WordOrder.DCBA: 0.02}
)
_SHIFTS: Final = MappingProxyType({0: 0.94, -1: 0.03, 1: 0.03})
_TWO_SURPRISES: Final = 0.01
"""A wrong address together with an unusual order is rarer still: one mistake at a time."""

_COARSE: Final = 20
"""Counts below which an integer would say its value more coarsely than makers let it."""

_SCALES: Final = MappingProxyType(
    {1.0: 0.3, 0.1: 0.25, 0.01: 0.2, 0.001: 0.13, 1e-4: 0.02, 10.0: 0.05, 100.0: 0.03, 1000.0: 0.02}
)
_FLOAT_SCALES: Final = MappingProxyType({1.0: 0.97, 0.001: 0.015, 1000.0: 0.015})

_NOUGHT: Final = 0.35
_STRANGER: Final = 0.65 / 65536
"""What a register that a reading does not cover is worth: often nought, else anything."""

_SHORT: Final = 0.4
"""The share of floats with a short mantissa (230.5): test values, whole counters, scaled integers."""

_MIXED: Final = 5
"""How many scalings are shown for each decode."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """number * scale is `value` [unit]; share: its part in the decode's probability."""

    scale: float
    value: float
    unit: str
    quantity: str
    share: float


@dataclass(frozen=True, slots=True)
class Decode:
    """One number that the registers may hold.

    shift: registers after the one asked for at which it begins. probability: of all decodes, that this is
    the true one. same: other readings of the same number, such as 'i32 CDAB'. scalings: likely first.
    """

    type: RegisterType
    order: WordOrder
    shift: int
    number: float
    probability: float
    scalings: tuple[Scaling, ...]
    same: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return _name(self.type, self.order, self.shift)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A candidate. base: prior of its shape times that of the strangers. grain: what one count is worth."""

    type: RegisterType
    order: WordOrder
    shift: int
    number: float
    base: float
    grain: float


def rank(
    words: Sequence[int | None],
    at: int = 0,
    quantity: str | None = None,
    *,
    unit: str | None = None,
    again: Sequence[int | None] | None = None,
) -> list[Decode]:
    """Every decode of the registers around one, the most plausible first.

    words: consecutive registers; None where the device has none. at: index of the register asked for.
    quantity, unit: what the installer knows of it. again: the same registers a little later; a wrong order
    jumps where the right one creeps, and a counter never falls.
    """
    readings = list(_readings(words, at))
    if not readings:
        return []
    numbers = np.array([reading.number for reading in readings])
    grains = np.array([reading.grain for reading in readings])
    is_float = np.array([REGISTER_TYPES[reading.type].is_float for reading in readings])
    mass, scalings = _explain(numbers, grains, is_float, quantity, unit)
    mass *= np.array([reading.base for reading in readings])
    if again is not None:
        mass *= [_creep(reading, again, at, quantity) for reading in readings]
    return _grouped(readings, mass, scalings)


def meaning_nothing(words: Sequence[int | None]) -> str:
    """What a device may mean by these registers other than a number; '' when nothing is known."""
    known = [word for word in words if word is not None]
    if known and all(word == 0xFFFF for word in known):
        return "all ones: 'not available' of unsigned types"
    if known and known[0] in (0x7FFF, 0x8000) and len(set(known[1:])) <= 1 and set(known[1:]) <= {0, 0xFFFF}:
        return "the largest or smallest signed number: 'not available' of signed types"
    if len(known) >= 2 and known[0] & 0x7FFF >= 0x7F80:
        return "a float that is no number (NaN or infinite)"
    return ""


def _readings(words: Sequence[int | None], at: int) -> Iterator[_Reading]:
    strangers = [1.0 if w is None else _NOUGHT if w == 0 else _STRANGER for w in words]
    for shift, of_shift in _SHIFTS.items():
        for kind, of_type in _TYPES.items():
            start, size = at + shift, REGISTER_TYPES[kind].words
            covered = words[max(start, 0) : start + size]
            if start < 0 or len(covered) < size or None in covered:
                continue
            rest = float(np.prod(strangers[:start]) * np.prod(strangers[start + size :]))
            for order, of_order in _orders(size):
                number = _number(kind, order, covered)
                if isfinite(number):
                    base = of_shift * of_type * of_order * rest
                    if shift and order is not WordOrder.ABCD:
                        base *= _TWO_SURPRISES
                    yield _Reading(kind, order, shift, number, base, _grain(kind, number))


def _orders(words: int) -> list[tuple[WordOrder, float]]:
    if words > 1:
        return list((_ORDERS if words == 2 else _LONG_ORDERS).items())
    return [(WordOrder.ABCD, 0.97), (WordOrder.BADC, 0.03)]


def _number(kind: RegisterType, order: WordOrder, words: Sequence[int | None]) -> float:
    layout = REGISTER_TYPES[kind]
    wire = b"".join((word or 0).to_bytes(2, "big") for word in words)
    plain = bytes(wire[position] for position in wire_positions(layout.words, order))
    return float(struct.unpack(layout.struct, plain)[0])


def _grain(kind: RegisterType, number: float) -> float:
    """How much of the value axis this bit pattern stands for: one count; of a float, its share of an octave.

    A handful of counts stands for less: see `_COARSE`.
    """
    layout = REGISTER_TYPES[kind]
    if number == 0:
        return 1.0
    if not layout.is_float:
        return min(1.0, abs(number) / _COARSE)
    mantissa = 23 if layout.words == 2 else 52
    if abs(number) < 1e-30 or abs(number) > 1e30:
        return 0.0
    bits = struct.unpack(">Q", struct.pack(">d", number))[0] & ((1 << 52) - 1)
    zeros = min(mantissa, (bits & -bits).bit_length() - 1 - (52 - mantissa)) if bits else mantissa
    share = (1 - _SHORT) * 2.0**-mantissa + _SHORT * 2.0 ** (zeros - mantissa) / (mantissa + 1)
    return float(share * abs(number) * 0.6931471805599453)


def _explain(
    numbers: Floats, grains: Floats, is_float: np.ndarray[tuple[int], np.dtype[np.bool_]],
    quantity: str | None, unit: str | None,
) -> tuple[Floats, list[list[Scaling]]]:  # fmt: skip
    """P(number) of each reading, and how it comes about."""
    total = np.zeros_like(numbers)
    parts: list[tuple[float, str, str, Floats]] = []
    nought = numbers == 0
    numbers = np.clip(numbers, -1e40, 1e40)
    for name, weight in ({quantity: 1.0} if quantity else COMMON).items():
        prior = prior_of(name)
        for device_unit, of_unit, convert in units_of(name):
            if unit is not None and device_unit != unit:
                continue
            for scale, of_scale in _SCALES.items():
                shares = np.where(is_float, _FLOAT_SCALES.get(scale, 0.0), of_scale)
                value = numbers * scale * convert.factor + convert.offset
                density = prior.density(value) * grains * scale * convert.factor
                mass = weight * of_unit * shares * np.where(nought, prior.zero, density)
                total += mass
                parts.append((scale, device_unit, name, mass))
    return total, [_scalings(row, float(number), parts) for row, number in enumerate(numbers)]


def _scalings(row: int, number: float, parts: Sequence[tuple[float, str, str, Floats]]) -> list[Scaling]:
    whole = sum(float(mass[row]) for *_, mass in parts) or 1.0
    best = sorted(parts, key=lambda part: -float(part[3][row]))[:_MIXED]
    return [
        Scaling(scale, number / round(1 / scale) if scale < 1 else number * scale, unit, quantity,
                float(mass[row]) / whole)
        for scale, unit, quantity, mass in best
    ]  # fmt: skip


def _creep(reading: _Reading, again: Sequence[int | None], at: int, quantity: str | None) -> float:
    """How well the second look suits the first."""
    start = at + reading.shift
    words = again[start : start + REGISTER_TYPES[reading.type].words]
    if None in words or len(words) < REGISTER_TYPES[reading.type].words:
        return 1.0
    later = _number(reading.type, reading.order, words)
    if later == reading.number:
        return 1.0
    counts = quantity is not None and quantity.endswith(("_energy", "_volume"))
    if not isfinite(later) or (counts and later < reading.number):
        return 1e-3
    step = abs(later - reading.number) / max(abs(later), abs(reading.number))
    return max(1e-3, 2.0 ** -max(0.0, log2(step / 0.02))) if step > 0 else 1.0


def _grouped(readings: list[_Reading], mass: Floats, scalings: list[list[Scaling]]) -> list[Decode]:
    """Readings of one number together, by their joint probability."""
    whole = float(mass.sum()) or 1.0
    rows: dict[float, list[int]] = {}
    for row in np.argsort(-mass, kind="stable").tolist():
        rows.setdefault(readings[row].number, []).append(row)
    decodes = []
    for number, members in rows.items():
        best, *others = (readings[row] for row in members)
        decodes.append(
            Decode(
                best.type, best.order, best.shift, number,
                float(mass[members].sum()) / whole,
                tuple(scalings[members[0]]),
                tuple(_name(other.type, other.order, other.shift) for other in others),
            )
        )  # fmt: skip
    return sorted(decodes, key=lambda decode: -decode.probability)


def _name(kind: RegisterType, order: WordOrder, shift: int) -> str:
    where = f" at {shift:+d}" if shift else ""
    return f"{kind} {order}{where}" if REGISTER_TYPES[kind].words > 1 or order is not WordOrder.ABCD else (
        f"{kind}{where}"
    )  # fmt: skip
