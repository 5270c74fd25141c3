"""The building in Brick (brickschema.org, 1.3 class names) with Haystack 4 markers, as Turtle.

Classes follow the quantity and kind of a point; a device is a meter by what it counts, else equipment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from drivers.base import Kind
from gateway.site import DeviceSpec, Installation, PointSpec

_SENSORS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "electric_energy": ("Electric_Energy_Sensor", "elec energy"),
        "reactive_energy": ("Reactive_Energy_Sensor", "elec energy reactive"),
        "apparent_energy": ("Electric_Energy_Sensor", "elec energy apparent"),
        "heat_energy": ("Energy_Sensor", "thermal energy"),
        "gas_energy": ("Energy_Sensor", "naturalGas energy"),
        "electric_power": ("Electric_Power_Sensor", "elec power active"),
        "reactive_power": ("Reactive_Power_Sensor", "elec power reactive"),
        "apparent_power": ("Electric_Power_Sensor", "elec power apparent"),
        "heat_power": ("Thermal_Power_Sensor", "thermal power"),
        "voltage": ("Voltage_Sensor", "elec volt"),
        "current": ("Current_Sensor", "elec current"),
        "frequency": ("Frequency_Sensor", "elec freq"),
        "power_factor": ("Power_Factor_Sensor", "elec pf"),
        "temperature": ("Temperature_Sensor", "temp"),
        "temperature_difference": ("Temperature_Sensor", "delta temp"),
        "humidity": ("Relative_Humidity_Sensor", "air humidity"),
        "co2": ("CO2_Sensor", "air co2 concentration"),
        "voc": ("TVOC_Sensor", "air tvoc concentration"),
        "water_volume": ("Water_Usage_Sensor", "water volume"),
        "gas_volume": ("Natural_Gas_Usage_Sensor", "naturalGas volume"),
        "water_flow": ("Water_Flow_Sensor", "water flow"),
        "gas_flow": ("Natural_Gas_Flow_Sensor", "naturalGas flow"),
        "air_flow": ("Air_Flow_Sensor", "air flow"),
        "pressure": ("Pressure_Sensor", "pressure"),
        "occupancy": ("Occupancy_Count_Sensor", "occupancy"),
        "illuminance": ("Illuminance_Sensor", "light level"),
        "irradiance": ("Solar_Irradiance_Sensor", "solar irradiance"),
    }
)
"""By quantity: the Brick class of a measurement, and its Haystack markers. Others are a plain Sensor."""

_SETPOINTS: Final = {"temperature": "Temperature_Setpoint", "humidity": "Humidity_Setpoint",
                     "pressure": "Pressure_Setpoint", "air_flow": "Flow_Setpoint"}  # fmt: skip
_METERS: Final = {
    "electric_energy": ("Electrical_Meter", "elec meter equip"),
    "water_volume": ("Water_Meter", "water meter equip"),
    "gas_volume": ("Gas_Meter", "naturalGas meter equip"),
    "gas_energy": ("Gas_Meter", "naturalGas meter equip"),
    "heat_energy": ("Thermal_Power_Meter", "thermal meter equip"),
}  # fmt: skip
_QUDT: Final = {
    "kWh": "KiloW-HR", "kW": "KiloW", "V": "V", "A": "A", "Hz": "HZ", "degC": "DEG_C", "K": "K",
    "%": "PERCENT",
    "ppm": "PPM", "m3": "M3", "m3/h": "M3-PER-HR", "L/s": "L-PER-SEC", "Pa": "PA", "lx": "LUX",
    "W/m2": "W-PER-M2", "1": "UNITLESS",
}  # fmt: skip

PREFIXES: Final = {
    "brick": "https://brickschema.org/schema/Brick#",
    "ref": "https://brickschema.org/schema/Brick/ref#",
    "unit": "http://qudt.org/vocab/unit/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "hz": "urn:heyzack:schema#",
}


def point_class(point: PointSpec) -> tuple[str, str]:
    """Brick class and Haystack markers of a point."""
    sensor, markers = _SENSORS.get(point.quantity, ("Sensor", ""))
    match point.kind:
        case Kind.SETPOINT:
            return _SETPOINTS.get(point.quantity, "Setpoint"), f"{markers} sp point".strip()
        case Kind.COMMAND:
            return "Command", f"{markers} cmd point".strip()
        case Kind.STATE:
            return "Status", f"{markers} sensor point".strip()
        case _:
            return sensor, f"{markers} sensor point".strip()


def device_class(device: DeviceSpec) -> tuple[str, str]:
    """Brick class and Haystack markers of a device: a meter when it counts."""
    counted = [p.quantity for p in device.points if p.kind is Kind.COUNTER and p.quantity in _METERS]
    return _METERS[counted[0]] if counted else ("Equipment", "equip")


def to_turtle(installation: Installation) -> str:
    """The whole building as one Turtle document."""
    site = installation.site
    base = f"urn:heyzack:{quote(site.id)}"
    blocks = [f"@prefix {name}: <{iri}> ." for name, iri in PREFIXES.items()]
    area = [f"brick:area [ brick:value {site.area_m2!r} ; brick:hasUnit unit:M2 ]"] if site.area_m2 else []
    blocks.append(_block(base, "brick:Building", [f"rdfs:label {_text(site.name or site.id)}", *area]))
    in_zone: dict[str, list[str]] = {}
    for zone in installation.zones.values():
        iri = f"{base}/zone/{quote(zone.name)}"
        blocks.append(
            _block(iri, "brick:Zone", [f"rdfs:label {_text(zone.name)}", f"brick:isPartOf <{base}>"])
        )
        for reading in zone.readings.values():
            in_zone.setdefault(reading, []).append(iri)
    for device in installation.devices.values():
        blocks += _device(device, base, in_zone)
    return "\n".join(blocks) + "\n"


def _device(device: DeviceSpec, base: str, in_zone: Mapping[str, list[str]]) -> Iterable[str]:
    iri = f"{base}/device/{quote(device.name)}"
    kind, markers = device_class(device)
    about = [f"rdfs:label {_text(device.name)}", f"brick:isPartOf <{base}>", f"hz:haystack {_text(markers)}"]
    if device.description:
        about.append(f"rdfs:comment {_text(device.description)}")
    yield _block(iri, f"brick:{kind}", about)
    for point in device.points:
        name = f"{device.name}/{point.name}"
        kind, markers = point_class(point)
        facts = [
            f"rdfs:label {_text(point.name)}",
            f"brick:isPointOf <{iri}>",
            f"hz:haystack {_text(markers)}",
        ]
        facts += [f"brick:isPointOf <{zone}>" for zone in in_zone.get(name, ())]
        if point.unit in _QUDT:
            facts.append(f"brick:hasUnit unit:{_QUDT[point.unit]}")
        series = f"ref:hasTimeseriesId {_text(name)}"
        facts.append(f"ref:hasExternalReference [ a ref:TimeseriesReference ; {series} ]")
        if point.description:
            facts.append(f"rdfs:comment {_text(point.description)}")
        yield _block(f"{base}/point/{quote(device.name)}/{quote(point.name)}", f"brick:{kind}", facts)


def _block(iri: str, kind: str, facts: Iterable[str]) -> str:
    return " ;\n    ".join([f"<{iri}> a {kind}", *facts]) + " ."


def _text(text: str) -> str:
    """A Turtle string literal (Turtle 1.1, section 6.4: ECHAR and UCHAR escapes)."""
    named = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    escaped = "".join(
        named.get(c)
        or (c if c.isprintable() else f"\\u{ord(c):04X}" if ord(c) < 65536 else f"\\U{ord(c):08X}")
        for c in text
    )
    return f'"{escaped}"'
