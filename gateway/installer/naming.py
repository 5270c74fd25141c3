"""Names for devices and points out of what controllers and topics call them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


def name_of(text: str, fallback: str) -> str:
    """A name that configurations accept: ASCII letters, digits, '_', with single '-' or '.' inside."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain)
    plain = re.sub(r"[_]*([-.])[-._]*", r"\1", plain)
    plain = re.sub(r"_+", "_", plain).strip("_-.")
    if not plain:
        return fallback
    return plain if plain[0].isalpha() else f"p_{plain}"


def distinct(names: Iterable[str]) -> list[str]:
    """The same names, later ones numbered where they differ from an earlier one in letter case at most."""
    seen: set[str] = set()
    result = []
    for name in names:
        wanted, number = name, 2
        while wanted.lower() in seen:
            wanted, number = f"{name}_{number}", number + 1
        seen.add(wanted.lower())
        result.append(wanted)
    return result


_UNITS_BY_WORD = {
    "temperature": ("degC", "temperature"), "temp": ("degC", "temperature"), "co2": ("ppm", "co2"),
    "humidity": ("%", "humidity"), "occupancy": ("people", "occupancy"), "people": ("people", "occupancy"),
    "power": ("W", "electric_power"), "energy": ("kWh", "electric_energy"), "voltage": ("V", "voltage"),
    "current": ("A", "current"), "illuminance": ("lx", "illuminance"), "pressure": ("hPa", "pressure"),
    "battery": ("%", "percentage"), "voc": ("ppb", "voc"), "pm25": ("ug/m3", "particulates"),
    "frequency": ("Hz", "frequency"), "noise": ("dB", "sound_level"),
}  # fmt: skip


def measured_by_name(name: str) -> tuple[str, str] | None:
    """Unit and quantity that a field's name tells ('outdoor_temperature'); None when it tells none."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    return next((_UNITS_BY_WORD[word] for word in reversed(words) if word in _UNITS_BY_WORD), None)
