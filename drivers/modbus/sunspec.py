"""SunSpec: where the models of a device lie, and what points those of meters and inverters give. Pure.

A device that has SunSpec holds the marker "SunS" at 40000, 50000 or 0, and then one model after the other:
id, length, that many registers; id 0xFFFF ends the list. Offsets are from a model's id.
Source: SunSpec Device Information Model Specification; models 1, 101-103, 111-113, 201-204 and 211-214.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

BASES: Final = (40000, 50000, 0)
MARKER: Final = b"SunS"
END: Final = 0xFFFF
COMMON: Final = 1

PointKeys = Mapping[str, object]
"""A point as a device map has it."""


@dataclass(frozen=True, slots=True)
class Model:
    """address: of the model's id register. length: registers that follow id and length."""

    id: int
    address: int
    length: int

    @property
    def following(self) -> int:
        return self.address + 2 + self.length


@dataclass(frozen=True, slots=True)
class _Row:
    """name, offset, type, unit, quantity, offset of the scale factor (0: none)."""

    name: str
    offset: int
    type: str
    unit: str
    quantity: str
    sf: int = 0


_METER: Final = (
    _Row("current_l1", 3, "i16", "A", "current", 6),
    _Row("voltage_l1", 8, "i16", "V", "voltage", 15),
    _Row("frequency", 16, "i16", "Hz", "frequency", 17),
    _Row("power", 18, "i16", "W", "electric_power", 22),
    _Row("energy_export", 38, "u32", "Wh", "electric_energy", 54),
    _Row("energy_import", 46, "u32", "Wh", "electric_energy", 54),
)
_METER_FLOAT: Final = (
    _Row("current_l1", 4, "f32", "A", "current"),
    _Row("voltage_l1", 12, "f32", "V", "voltage"),
    _Row("frequency", 26, "f32", "Hz", "frequency"),
    _Row("power", 28, "f32", "W", "electric_power"),
    _Row("energy_export", 60, "f32", "Wh", "electric_energy"),
    _Row("energy_import", 68, "f32", "Wh", "electric_energy"),
)
_INVERTER: Final = (
    _Row("current_l1", 3, "u16", "A", "current", 6),
    _Row("voltage_l1", 10, "u16", "V", "voltage", 13),
    _Row("power", 14, "i16", "W", "electric_power", 15),
    _Row("frequency", 16, "u16", "Hz", "frequency", 17),
    _Row("energy_import", 24, "u32", "Wh", "electric_energy", 26),
)
_INVERTER_FLOAT: Final = (
    _Row("current_l1", 4, "f32", "A", "current"),
    _Row("voltage_l1", 16, "f32", "V", "voltage"),
    _Row("power", 22, "f32", "W", "electric_power"),
    _Row("frequency", 24, "f32", "Hz", "frequency"),
    _Row("energy_import", 32, "f32", "Wh", "electric_energy"),
)
_ROWS: Final = {
    **dict.fromkeys((201, 202, 203, 204), _METER),
    **dict.fromkeys((211, 212, 213, 214), _METER_FLOAT),
    **dict.fromkeys((101, 102, 103), _INVERTER),
    **dict.fromkeys((111, 112, 113), _INVERTER_FLOAT),
}


def points(models: Iterable[Model]) -> dict[str, PointKeys]:
    """The points of all known models; those of a second meter or inverter get its number behind their names.

    An inverter's energy is called energy_import, as that of every meter of generation is.
    """
    found: dict[str, PointKeys] = {}
    seen = 0
    for model in models:
        rows = _ROWS.get(model.id)
        if rows is None:
            continue
        seen += 1
        for row in rows:
            if row.offset < 2 + model.length:
                found[row.name if seen == 1 else f"{row.name}_{seen}"] = _keys(row, model)
    return found


def texts(registers: bytes) -> tuple[str, str, str, str]:
    """Maker, model, version and serial number in the registers of a common model (after id and length)."""
    maker, model, version, serial = (
        registers[2 * at : 2 * (at + words)] for at, words in ((0, 16), (16, 16), (40, 8), (48, 16))
    )
    return _text(maker), _text(model), _text(version), _text(serial)


def _keys(row: _Row, model: Model) -> PointKeys:
    keys: dict[str, object] = {"register": model.address + row.offset, "type": row.type}
    if row.sf:
        keys["sf"] = model.address + row.sf
    # An accumulator has no "not available": 0 is a value like any other.
    if row.type != "u32":
        keys["not_available"] = "sunspec"
    keys |= {"unit": row.unit, "quantity": row.quantity}
    if row.quantity == "electric_energy":
        # No modulus: where it rolls over depends on a scale factor that only the device knows.
        keys["kind"] = "counter"
    return keys


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("ascii", "replace").strip()
