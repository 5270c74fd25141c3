"""What well-known senders put where, as data: topics, paths, units and how they say that they are gone.

A preset fills in what a configuration leaves out: keys of the device, and of the points it names. Parts of
topics in braces are explained at `drivers.mqtt.topics`. `any_point`: the JSON path of a point that the preset
does not know. Facts from the senders' published documentation; golden messages in tests/testcases/mqtt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Keys = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preset:
    """device, points: keys as a configuration has them. facts: where they are documented."""

    facts: str
    device: Keys
    points: Mapping[str, Keys] = field(default_factory=dict)
    any_point: str | None = None


def _point(place: Mapping[str, str], unit: str, quantity: str, **more: object) -> Keys:
    return {**place, "unit": unit, "quantity": quantity, **more}


def _json(path: str, unit: str, quantity: str, **more: object) -> Keys:
    return _point({"json": path}, unit, quantity, **more)


def _raw(topic: str, unit: str, quantity: str, **more: object) -> Keys:
    return _point({"topic": topic, "payload": "raw"}, unit, quantity, **more)


def _status(component: str, path: str, unit: str, quantity: str) -> Keys:
    """A value of a Shelly component: each has a topic of its own."""
    return _point({"topic": f"{{id}}/status/{component}", "json": path}, unit, quantity)


def _state(path: str, **words: float) -> Keys:
    return {"json": path, "kind": "state", **({"values": words} if words else {})}


_CLIMATE: Final[Mapping[str, tuple[str, str]]] = {
    "temperature": ("degC", "temperature"),
    "humidity": ("%", "humidity"),
    "co2": ("ppm", "co2"),
    "battery": ("%", "percentage"),
    "illuminance": ("lx", "illuminance"),
    "pressure": ("hPa", "pressure"),
}
"""Names on which the converters of Zigbee2MQTT and most LoRaWAN codecs agree, with their units."""


def _climate(root: str) -> dict[str, Keys]:
    return {name: _json(root + name, *measured) for name, measured in _CLIMATE.items()}


_ZIGBEE2MQTT = Preset(
    facts="zigbee2mqtt.io: MQTT topics and messages; device availability; exposes",
    device={
        "base": "zigbee2mqtt",
        "topic": "{base}/{id}",
        "timestamp": "last_seen",
        "availability": {"topic": "{base}/{id}/availability", "json": "state"},
    },
    points={
        **_climate(""),
        "power": _json("power", "W", "electric_power"),
        "energy": _json("energy", "kWh", "electric_energy"),
        "voltage": _json("voltage", "V", "voltage"),
        "current": _json("current", "A", "current"),
        "pm25": _json("pm25", "ug/m3", "particulates"),
        "local_temperature": _json("local_temperature", "degC", "temperature"),
        "occupied_heating_setpoint": _json(
            "occupied_heating_setpoint", "degC", "temperature", kind="setpoint"
        ),
        "pi_heating_demand": _json("pi_heating_demand", "%", "percentage"),
        "linkquality": _json("linkquality", "1", "count"),
        "occupancy": _state("occupancy"),
        "contact": _state("contact"),
        "water_leak": _state("water_leak"),
        "state": _state("state"),
    },
    any_point="{point}",
)

_SHELLY_GEN2 = Preset(
    facts="shelly-api-docs.shelly.cloud, Gen2+: Mqtt, Switch, PM1, EM, EMData, Temperature, Humidity",
    device={
        "topic": "{id}/status/switch:{channel}",
        "availability": {"topic": "{id}/online", "online": "true", "offline": "false"},
    },
    points={
        "state": {"topic": "{id}/status/switch:{channel}", **_state("output")},
        "power": _status("switch:{channel}", "apower", "W", "electric_power"),
        "energy": _status("switch:{channel}", "aenergy.total", "Wh", "electric_energy"),
        "voltage": _status("switch:{channel}", "voltage", "V", "voltage"),
        "current": _status("switch:{channel}", "current", "A", "current"),
        "pm1_power": _status("pm1:{channel}", "apower", "W", "electric_power"),
        "pm1_energy": _status("pm1:{channel}", "aenergy.total", "Wh", "electric_energy"),
        "total_power": _status("em:{channel}", "total_act_power", "W", "electric_power"),
        "power_l1": _status("em:{channel}", "a_act_power", "W", "electric_power"),
        "power_l2": _status("em:{channel}", "b_act_power", "W", "electric_power"),
        "power_l3": _status("em:{channel}", "c_act_power", "W", "electric_power"),
        "voltage_l1": _status("em:{channel}", "a_voltage", "V", "voltage"),
        "current_l1": _status("em:{channel}", "a_current", "A", "current"),
        "energy_import": _status("emdata:{channel}", "total_act", "Wh", "electric_energy"),
        "energy_export": _status("emdata:{channel}", "total_act_ret", "Wh", "electric_energy"),
        "temperature": _status("temperature:{channel}", "tC", "degC", "temperature"),
        "humidity": _status("humidity:{channel}", "rh", "%", "humidity"),
    },
)  # fmt: skip

_RELAY, _EMETER = "shellies/{id}/relay/{channel}", "shellies/{id}/emeter/{channel}"
_SHELLY_GEN1 = Preset(
    facts="shelly-api-docs.shelly.cloud, Gen1: MQTT support of each model",
    device={
        "topic": _RELAY,
        "availability": {"topic": "shellies/{id}/online", "online": "true", "offline": "false"},
    },
    points={
        "state": {"topic": _RELAY, "payload": "raw", "kind": "state"},
        "power": _raw(f"{_RELAY}/power", "W", "electric_power"),
        # Watt-minutes: a relay counts them from its last start.
        "energy": _raw(f"{_RELAY}/energy", "Wh", "electric_energy", scale=1 / 60),
        "emeter_power": _raw(f"{_EMETER}/power", "W", "electric_power"),
        "energy_import": _raw(f"{_EMETER}/total", "Wh", "electric_energy"),
        "energy_export": _raw(f"{_EMETER}/total_returned", "Wh", "electric_energy"),
        "voltage": _raw(f"{_EMETER}/voltage", "V", "voltage"),
        "current": _raw(f"{_EMETER}/current", "A", "current"),
        "temperature": _raw("shellies/{id}/sensor/temperature", "degC", "temperature"),
        "humidity": _raw("shellies/{id}/sensor/humidity", "%", "humidity"),
        "battery": _raw("shellies/{id}/sensor/battery", "%", "percentage"),
    },
)

_TASMOTA = Preset(
    # Its Time is local and says no offset, so arrival is the better time.
    facts="tasmota.github.io/docs: MQTT, energy monitoring, LWT",
    device={
        "topic": "tele/{id}/SENSOR",
        "availability": {"topic": "tele/{id}/LWT", "online": "Online", "offline": "Offline"},
    },
    points={
        "state": {"topic": "stat/{id}/POWER", "payload": "raw", "kind": "state"},
        "power": _json("ENERGY.Power", "W", "electric_power"),
        "apparent_power": _json("ENERGY.ApparentPower", "VA", "apparent_power"),
        "reactive_power": _json("ENERGY.ReactivePower", "var", "reactive_power"),
        "power_factor": _json("ENERGY.Factor", "1", "power_factor"),
        "energy": _json("ENERGY.Total", "kWh", "electric_energy"),
        "energy_export": _json("ENERGY.ExportActive", "kWh", "electric_energy"),
        "voltage": _json("ENERGY.Voltage", "V", "voltage"),
        "current": _json("ENERGY.Current", "A", "current"),
        "frequency": _json("ENERGY.Frequency", "Hz", "frequency"),
        "temperature": _json("AM2301.Temperature", "degC", "temperature"),
        "humidity": _json("AM2301.Humidity", "%", "humidity"),
        "ds18b20_temperature": _json("DS18B20.Temperature", "degC", "temperature"),
    },
)

_CHIRPSTACK = Preset(
    facts="chirpstack.io/docs: MQTT integration, uplink event (version 4, JSON marshaler)",
    device={"topic": "application/+/device/{id}/event/up", "timestamp": "time"},
    points=_climate("object."),
    any_point="object.{point}",
)

_TTN = Preset(
    facts="thethingsindustries.com/docs: MQTT server, uplink message (The Things Stack v3)",
    device={"topic": "v3/+/devices/{id}/up", "timestamp": "received_at"},
    points=_climate("uplink_message.decoded_payload."),
    any_point="uplink_message.decoded_payload.{point}",
)

PRESETS: Final[Mapping[str, Preset]] = {
    "zigbee2mqtt": _ZIGBEE2MQTT,
    "shelly-gen2": _SHELLY_GEN2,
    "shelly-gen1": _SHELLY_GEN1,
    "tasmota": _TASMOTA,
    "chirpstack": _CHIRPSTACK,
    "ttn": _TTN,
}

_PLACES: Final = ("json", "csv", "struct", "payload", "metric")


def fill_device(name: str, given: Keys) -> dict[str, Any]:
    """A device's keys with the preset's under them. Raises ValueError for an unknown preset."""
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} is unknown; one of {', '.join(PRESETS)}")
    return {**PRESETS[name].device, **given}


def fill_point(name: str, point: str, own: Keys) -> dict[str, Any]:
    """What the preset adds to a point's own keys: its place unless they say one, its unit and quantity."""
    preset = PRESETS[name]
    known = preset.points.get(point)
    if known is None:
        known = {} if preset.any_point is None else {"json": preset.any_point.format(point=point)}
    placed = any(key in own for key in _PLACES)
    return {key: value for key, value in known.items() if key not in own and not (placed and key in _PLACES)}
