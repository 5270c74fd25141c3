"""BACnet's engineering units in ours (ASHRAE 135, clause 21: BACnetEngineeringUnits).

A unit of ours may need a factor: there is no centimetre of water in our table, but ten millimetres of it.
Units that measure nothing the gateway stores have no entry in `OURS`, and the installer is told their name.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class OurUnit(NamedTuple):
    """device value * factor is in `unit`, which measures `quantity`."""

    unit: str
    quantity: str
    factor: float = 1.0


_E, _P, _T, _F, _V = "electric_energy", "electric_power", "temperature", "water_flow", "water_volume"

OURS: dict[int, OurUnit] = {
    2: OurUnit("mA", "current"),
    3: OurUnit("A", "current"),
    5: OurUnit("V", "voltage"),
    6: OurUnit("kV", "voltage"),
    7: OurUnit("kV", "voltage", 1e3),
    8: OurUnit("VA", "apparent_power"),
    9: OurUnit("kVA", "apparent_power"),
    10: OurUnit("MVA", "apparent_power"),
    11: OurUnit("var", "reactive_power"),
    12: OurUnit("kvar", "reactive_power"),
    13: OurUnit("Mvar", "reactive_power"),
    14: OurUnit("deg", "angle"),
    15: OurUnit("1", "power_factor"),
    16: OurUnit("J", _E),
    17: OurUnit("kJ", _E),
    18: OurUnit("Wh", _E),
    19: OurUnit("kWh", _E),
    20: OurUnit("BTU", "heat_energy"),
    21: OurUnit("therm", "gas_energy"),
    22: OurUnit("kWh", "heat_energy", 3.51685284206667),
    25: OurUnit("Hz", "frequency", 1 / 3600),
    26: OurUnit("rpm", "frequency"),
    27: OurUnit("Hz", "frequency"),
    29: OurUnit("%RH", "humidity"),
    34: OurUnit("W/m2", "irradiance", 10.763910416709722),
    35: OurUnit("W/m2", "irradiance"),
    37: OurUnit("lx", "illuminance"),
    38: OurUnit("fc", "illuminance"),
    39: OurUnit("kg", "mass"),
    40: OurUnit("lb", "mass"),
    41: OurUnit("t", "mass"),
    47: OurUnit("W", _P),
    48: OurUnit("kW", _P),
    49: OurUnit("MW", _P),
    50: OurUnit("BTU/h", "heat_power"),
    51: OurUnit("hp", _P),
    52: OurUnit("TR", "heat_power"),
    53: OurUnit("Pa", "pressure"),
    54: OurUnit("kPa", "pressure"),
    55: OurUnit("bar", "pressure"),
    56: OurUnit("psi", "pressure"),
    57: OurUnit("mmH2O", "pressure", 10.0),
    58: OurUnit("inH2O", "pressure"),
    59: OurUnit("mmHg", "pressure"),
    60: OurUnit("mmHg", "pressure", 10.0),
    61: OurUnit("inHg", "pressure"),
    62: OurUnit("degC", _T),
    63: OurUnit("K", _T),
    64: OurUnit("degF", _T),
    67: OurUnit("d", "duration", 365.0),
    69: OurUnit("d", "duration", 7.0),
    70: OurUnit("d", "duration"),
    71: OurUnit("h", "duration"),
    72: OurUnit("min", "duration"),
    73: OurUnit("s", "duration"),
    74: OurUnit("m/s", "speed"),
    75: OurUnit("km/h", "speed"),
    76: OurUnit("ft/min", "speed", 60.0),
    77: OurUnit("ft/min", "speed"),
    78: OurUnit("mph", "speed"),
    79: OurUnit("ft3", "gas_volume"),
    80: OurUnit("m3", _V),
    81: OurUnit("gal_uk", _V),
    82: OurUnit("L", _V),
    83: OurUnit("gal", _V),
    84: OurUnit("cfm", "air_flow"),
    85: OurUnit("m3/s", "air_flow"),
    86: OurUnit("gpm_uk", _F),
    87: OurUnit("L/s", _F),
    88: OurUnit("L/min", _F),
    89: OurUnit("gpm", _F),
    90: OurUnit("deg", "angle"),
    95: OurUnit("1", "count"),
    96: OurUnit("ppm", "co2"),
    97: OurUnit("ppb", "voc"),
    98: OurUnit("%", "percentage"),
    103: OurUnit("rad", "angle"),
    104: OurUnit("rpm", "frequency"),
    120: OurUnit("degF", "temperature_difference"),
    121: OurUnit("K", "temperature_difference"),
    124: OurUnit("mV", "voltage"),
    126: OurUnit("MJ", "heat_energy"),
    129: OurUnit("kHz", "frequency"),
    130: OurUnit("kHz", "frequency", 1e3),
    132: OurUnit("mW", _P),
    133: OurUnit("hPa", "pressure"),
    134: OurUnit("mbar", "pressure"),
    135: OurUnit("m3/h", _F),
    136: OurUnit("L/h", _F),
    142: OurUnit("cfm", "air_flow", 60.0),
    146: OurUnit("MWh", _E),
    147: OurUnit("kBTU", "heat_energy"),
    148: OurUnit("MMBTU", "heat_energy"),
    157: OurUnit("kBTU/h", "heat_power"),
    158: OurUnit("ms", "duration", 10.0),
    159: OurUnit("ms", "duration"),
    161: OurUnit("m/s", "speed", 1e-3),
    162: OurUnit("m/s", "speed", 1e-3 / 60),
    163: OurUnit("m/s", "speed", 1 / 60),
    164: OurUnit("m/s", "speed", 1 / 3600),
    165: OurUnit("m3/min", "air_flow"),
    191: OurUnit("cfh", "gas_flow"),
    192: OurUnit("gph", _F),
    195: OurUnit("g", "mass"),
    196: OurUnit("mg", "mass"),
    197: OurUnit("mL", _V),
    198: OurUnit("L/s", _F, 1e-3),
    199: OurUnit("dB", "sound_level"),
    203: OurUnit("varh", "reactive_energy"),
    204: OurUnit("kvarh", "reactive_energy"),
    205: OurUnit("Mvarh", "reactive_energy"),
    206: OurUnit("mmH2O", "pressure"),
    207: OurUnit("permille", "percentage"),
    218: OurUnit("mg/m3", "particulates"),
    219: OurUnit("ug/m3", "particulates"),
    220: OurUnit("ng/m3", "particulates"),
    217: OurUnit("mg/m3", "particulates", 1e3),
    216: OurUnit("mg/m3", "particulates"),
    232: OurUnit("dBA", "sound_level"),
    239: OurUnit("VAh", "apparent_energy"),
    240: OurUnit("kVAh", "apparent_energy"),
    241: OurUnit("MVAh", "apparent_energy"),
    242: OurUnit("varh", "reactive_energy"),
    243: OurUnit("kvarh", "reactive_energy"),
    244: OurUnit("Mvarh", "reactive_energy"),
    247: OurUnit("W", _P, 1 / 3600),
    248: OurUnit("cfh", "gas_flow", 1 / 24),
    249: OurUnit("m3/d", _F),
}
"""Unit number -> ours."""

_NUMBERS: dict[str, int] = {"kgCO2e": 39, "EUR": 105, "kWh/m2": 137, "1": 95, "%": 98, "m3/h": 135, "L/s": 87}
_NUMBERS |= {
    ours.unit: number for number, ours in OURS.items() if ours.factor == 1 and ours.unit not in _NUMBERS
}


def bacnet_unit(unit: str) -> int:
    """The number of one of our units in BACnet, no-units (95) for those it does not know."""
    return _NUMBERS.get(unit, 95)


_AIR = re.compile(r"\b(air|vav|ahu|cta|duct|ventilation|supply fan|return fan|exhaust)\b")
_GAS = re.compile(r"\b(gas|gaz)\b")
_LIQUID = frozenset({"gpm", "gpm_uk", "gph", "m3/d"})


def in_words(quantity: str, unit: str, *texts: str) -> str:
    """The quantity, made more exact by an object's own words.

    A flow in L/s may be water, air or gas, an energy in kWh electricity or gas: the number is the same, its
    use is not. texts: the object's name and description.
    """
    text = re.sub(r"[\W_]+", " ", " ".join(texts)).lower()
    gas, water = bool(_GAS.search(text)), "water" in text
    if quantity in ("water_flow", "air_flow", "gas_flow"):
        if gas or water:
            return "gas_flow" if gas else "water_flow"
        return "air_flow" if _AIR.search(text) and unit not in _LIQUID else quantity
    if quantity in ("water_volume", "gas_volume"):
        return "gas_volume" if gas else "water_volume" if water else quantity
    if quantity == "electric_energy" and gas:
        return "gas_energy"
    for word, less, more in _BY_WORD:
        if quantity == less and word in text:
            return more
    return quantity


_BY_WORD = (
    ("humid", "percentage", "humidity"),
    ("hygro", "percentage", "humidity"),
    ("voc", "co2", "voc"),
    ("occupan", "count", "occupancy"),
    ("people", "count", "occupancy"),
    ("factor", "count", "power_factor"),
)
