"""Units: what a device reports, the canonical unit the gateway stores, and how one becomes the other.

    canonical value = device value * factor + offset

A quantity has exactly one canonical unit (`CANONICAL`; docs/nomenclature.md prints it). A unit is known by
the canonical unit it converts to, so the same spelling may mean two things without being guessed: kelvin
converts to degC as a temperature and to K as a difference.

Errors
    UnitError
    +-- UnknownUnit        no such unit; the message suggests the nearest spelling
    +-- UnknownQuantity    no such quantity; the same
    +-- IncompatibleUnit   the unit exists but measures something else

Sources of the factors: BIPM SI Brochure (9th ed.), table 8; NIST SP 811 (2008), appendix B.8. The British
thermal unit is that of the International Table, the gallon and horsepower are US unless the name says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final


class UnitError(ValueError):
    """Base of what this module raises; the message says what to write instead."""


class UnknownUnit(UnitError):  # noqa: N818 - reads as what it is at the raise
    """The unit is in no table."""


class UnknownQuantity(UnitError):  # noqa: N818 - reads as what it is at the raise
    """The quantity is not one the gateway stores."""


class IncompatibleUnit(UnitError):  # noqa: N818 - reads as what it is at the raise
    """The unit is known, but cannot become the canonical unit asked for."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """canonical = device * factor + offset."""

    factor: float
    offset: float = 0.0

    def __call__(self, value: float) -> float:
        return value * self.factor + self.offset


CANONICAL: Final[dict[str, str]] = {
    "electric_energy": "kWh",
    "electric_power": "kW",
    "reactive_energy": "kvarh",
    "reactive_power": "kvar",
    "apparent_energy": "kVAh",
    "apparent_power": "kVA",
    "heat_energy": "kWh",
    "heat_power": "kW",
    "gas_energy": "kWh",
    "temperature": "degC",
    "temperature_difference": "K",
    "humidity": "%",
    "percentage": "%",
    "co2": "ppm",
    "voc": "ppm",
    "particulates": "ug/m3",
    "water_volume": "m3",
    "gas_volume": "m3",
    "water_flow": "m3/h",
    "gas_flow": "m3/h",
    "air_flow": "L/s",
    "pressure": "Pa",
    "voltage": "V",
    "current": "A",
    "frequency": "Hz",
    "power_factor": "1",
    "cop": "1",
    "occupancy": "1",
    "state": "1",
    "count": "1",
    "mass": "kg",
    "carbon": "kgCO2e",
    "carbon_intensity": "kgCO2e/kWh",
    "money": "EUR",
    "price": "EUR/kWh",
    "illuminance": "lx",
    "irradiance": "W/m2",
    "speed": "m/s",
    "angle": "deg",
    "sound_level": "dB",
    "duration": "h",
}
"""Quantity -> the unit it is stored in."""

_JOULE = 1 / 3.6e6
_BTU = 1055.05585262
_FT3 = 0.028316846592
_GALLON = 0.003785411784
_IMPERIAL_GALLON = 0.00454609


def _scaled(**factors: float) -> dict[str, Conversion]:
    return {unit: Conversion(factor) for unit, factor in factors.items()}


def _table(rows: dict[str, float]) -> dict[str, Conversion]:
    return {unit: Conversion(factor) for unit, factor in rows.items()}


_CONVERSIONS: Final[dict[str, dict[str, Conversion]]] = {
    "kWh": _scaled(
        kWh=1, Wh=1e-3, MWh=1e3, GWh=1e6, J=_JOULE, kJ=1e3 * _JOULE, MJ=1e6 * _JOULE,
        GJ=1e9 * _JOULE, BTU=_BTU * _JOULE, kBTU=1e3 * _BTU * _JOULE, MMBTU=1e6 * _BTU * _JOULE,
        therm=1e5 * _BTU * _JOULE, kcal=4186.8 * _JOULE, Mcal=4.1868e6 * _JOULE,
    ),
    "kW": _table({
        "kW": 1, "W": 1e-3, "mW": 1e-6, "MW": 1e3, "GW": 1e6, "hp": 0.745699871582270, "PS": 0.73549875,
        "BTU/h": _BTU / 3.6e6, "kBTU/h": _BTU / 3.6e3, "MJ/h": 1 / 3.6, "GJ/h": 1e3 / 3.6,
        "kcal/h": 4186.8 / 3.6e6, "TR": 3.51685284206667,
    }),
    "kvarh": _scaled(kvarh=1, varh=1e-3, Mvarh=1e3),
    "kvar": _scaled(kvar=1, var=1e-3, Mvar=1e3),
    "kVAh": _scaled(kVAh=1, VAh=1e-3, MVAh=1e3),
    "kVA": _scaled(kVA=1, VA=1e-3, MVA=1e3),
    "degC": {
        "degC": Conversion(1.0),
        "degF": Conversion(5 / 9, -160 / 9),
        "K": Conversion(1.0, -273.15),
    },
    "K": _scaled(K=1, mK=1e-3, degC=1, degF=5 / 9),
    "%": _table({"%": 1, "%RH": 1, "fraction": 100, "permille": 0.1, "ppm": 1e-4}),
    "ppm": _table({"ppm": 1, "ppb": 1e-3, "%": 1e4, "fraction": 1e6}),
    "ug/m3": _table({"ug/m3": 1, "mg/m3": 1e3, "ng/m3": 1e-3}),
    "m3": _scaled(
        m3=1, L=1e-3, l=1e-3, mL=1e-6, cL=1e-5, dL=1e-4, hL=0.1, dm3=1e-3, gal=_GALLON, kgal=1e3 * _GALLON,
        gal_uk=_IMPERIAL_GALLON, ft3=_FT3, cf=_FT3, ccf=100 * _FT3, Mcf=1e3 * _FT3, Nm3=1, Sm3=1,
    ),
    "m3/h": _table({
        "m3/h": 1, "m3/min": 60, "m3/s": 3600, "m3/d": 1 / 24, "L/s": 3.6, "l/s": 3.6, "L/min": 0.06,
        "l/min": 0.06, "L/h": 1e-3, "l/h": 1e-3, "gpm": 60 * _GALLON, "gpm_uk": 60 * _IMPERIAL_GALLON,
        "gph": _GALLON, "ft3/h": _FT3, "cfh": _FT3, "ft3/min": 60 * _FT3, "cfm": 60 * _FT3,
    }),
    "L/s": _table({
        "L/s": 1, "l/s": 1, "L/min": 1 / 60, "l/min": 1 / 60, "L/h": 1 / 3600, "l/h": 1 / 3600, "m3/s": 1e3,
        "m3/min": 1e3 / 60, "m3/h": 1 / 3.6, "cfm": 1e3 * _FT3 / 60, "ft3/min": 1e3 * _FT3 / 60,
    }),
    "Pa": _scaled(
        Pa=1, hPa=1e2, kPa=1e3, MPa=1e6, mbar=1e2, bar=1e5, psi=6894.757293168361, atm=101325,
        mmHg=133.322387415, inHg=3386.389, mmH2O=9.80665, inH2O=249.08891, mH2O=9806.65,
    ),
    "V": _scaled(V=1, mV=1e-3, kV=1e3),
    "A": _scaled(A=1, mA=1e-3, uA=1e-6, kA=1e3),
    "Hz": _table({"Hz": 1, "mHz": 1e-3, "kHz": 1e3, "rpm": 1 / 60}),
    "1": _table({"1": 1, "fraction": 1, "%": 0.01, "permille": 1e-3, "bool": 1, "people": 1, "count": 1}),
    "kg": _scaled(kg=1, g=1e-3, mg=1e-6, t=1e3, lb=0.45359237, oz=0.028349523125),
    "kgCO2e": _scaled(kgCO2e=1, gCO2e=1e-3, tCO2e=1e3, kgCO2=1, gCO2=1e-3, tCO2=1e3),
    "kgCO2e/kWh": _table({"kgCO2e/kWh": 1, "gCO2e/kWh": 1e-3, "kgCO2e/MWh": 1e-3, "tCO2e/MWh": 1}),
    "EUR": _scaled(EUR=1, cEUR=0.01, kEUR=1e3),
    "EUR/kWh": _table({"EUR/kWh": 1, "cEUR/kWh": 0.01, "EUR/MWh": 1e-3}),
    "lx": _scaled(lx=1, klx=1e3, fc=10.763910416709722),
    "W/m2": _table({"W/m2": 1, "kW/m2": 1e3}),
    "m/s": _table({
        "m/s": 1, "km/h": 1 / 3.6, "mph": 0.44704, "ft/min": 0.00508, "fpm": 0.00508, "kn": 1.852 / 3.6,
    }),
    "deg": _table({"deg": 1, "rad": 57.29577951308232}),
    "dB": _table({"dB": 1, "dBA": 1}),
    "h": _scaled(h=1, min=1 / 60, s=1 / 3600, ms=1 / 3.6e6, d=24),
}  # fmt: skip

_SPELLINGS = str.maketrans(
    {"²": "2", "³": "3", "₂": "2", "µ": "u", "μ": "u", "°": "deg", "℃": "degC", "℉": "degF"}
)


def conversion(source_unit: str, canonical: str) -> Conversion:
    """How values in `source_unit` become values in the canonical unit.

    Typographic spellings are understood (°C, m³, µg/m³); letter case matters, because mW is not MW.
    Raises UnknownUnit for a unit in no table, IncompatibleUnit for one that measures something else.
    """
    unit = _plain(source_unit)
    table = _CONVERSIONS.get(canonical)
    if table is None:
        raise UnknownUnit(f"'{canonical}' is no canonical unit; one of {', '.join(_CONVERSIONS)}")
    if unit in table:
        return table[unit]
    if unit not in UNITS:
        raise UnknownUnit(f"unit '{source_unit}' is unknown{_hint(unit, UNITS)}")
    raise IncompatibleUnit(
        f"unit '{source_unit}' does not convert to {canonical}; use one of {', '.join(table)}"
    )


def canonical_unit(quantity: str) -> str:
    """The unit in which a quantity is stored. Raises UnknownQuantity with the nearest name."""
    try:
        return CANONICAL[quantity]
    except KeyError:
        raise UnknownQuantity(f"quantity '{quantity}' is unknown{_hint(quantity, CANONICAL)}") from None


def quantities(unit: str) -> tuple[str, ...]:
    """The quantities a unit may measure, the most plausible first: for 'kW' electric_power, then heat_power.

    A unit's own quantities come before those it merely converts to. Raises UnknownUnit.
    """
    plain = _plain(unit)
    if plain not in UNITS:
        raise UnknownUnit(f"unit '{unit}' is unknown{_hint(plain, UNITS)}")
    own = [quantity for quantity, canonical in CANONICAL.items() if canonical == plain]
    converted = [q for q, canonical in CANONICAL.items() if plain in _CONVERSIONS[canonical]]
    return tuple(dict.fromkeys(own + converted))


def _plain(unit: str) -> str:
    return unit.strip().translate(_SPELLINGS)


def _hint(wrong: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' with the nearest spellings, letter case first, else nothing."""
    names = sorted(known)
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.lower(), []).append(name)
    near = folded.get(wrong.lower()) or get_close_matches(wrong, names, n=1, cutoff=0.6)
    if not near:
        close = get_close_matches(wrong.lower(), folded, n=1, cutoff=0.7)
        near = folded[close[0]] if close else []
    quoted = " or ".join(f"'{name}'" for name in near)
    return f"; did you mean {quoted}?" if near else ""


UNITS: Final[frozenset[str]] = frozenset(unit for table in _CONVERSIONS.values() for unit in table)
"""Every unit that a device may report."""
