"""Home Assistant discovery: the gateway's figures as sensors that appear there by themselves. Pure.

One retained configuration message for each figure tells its name, unit and state topic; the state topic has
the value. Availability is the gateway's `status_topic`, so a lost gateway's figures are shown as unavailable.
Source: home-assistant.io, MQTT integration: discovery, sensor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import orjson

from drivers.base import Figure

_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_-]+")
_CLASSES: Mapping[str, str] = {
    "kWh": "energy",
    "kW": "power",
    "degC": "temperature",
    "m3": "water",
    "EUR": "monetary",
    "h": "duration",
    "min": "duration",
}
"""Unit to device class; a percentage or a mass of CO2 has none that fits."""
_UNITS: Mapping[str, str] = {"degC": "°C", "m3": "m³", "1": "", "kgCO2e": "kg"}
_TOTALS = frozenset({"energy", "water", "monetary"})


@dataclass(frozen=True, slots=True)
class Publication:
    """A message to publish retained."""

    topic: str
    payload: bytes


def node_id(site: str) -> str:
    """A site's id as discovery topics allow it: letters, digits, _ and -."""
    return _FORBIDDEN.sub("_", site) or "gateway"


def state_topic(site: str, figure: Figure) -> str:
    return f"heyzack/{node_id(site)}/kpi/{_FORBIDDEN.sub('_', figure.key)}"


def configuration(figure: Figure, site: str, site_name: str, prefix: str, status: str | None) -> Publication:
    """The message that makes a figure appear. status: the gateway's own status topic, if it has one."""
    object_id = _FORBIDDEN.sub("_", figure.key)
    unique = f"heyzack_{node_id(site)}_{object_id}"
    device_class = _CLASSES.get(figure.unit)
    topic = state_topic(site, figure)
    body: dict[str, object] = {
        "name": figure.name,
        "unique_id": unique,
        "object_id": unique,
        "state_topic": topic,
        "value_template": "{{ value_json.value }}",
        "json_attributes_topic": topic,
        "device": {
            "identifiers": [f"heyzack_{node_id(site)}"],
            "name": site_name,
            "manufacturer": "HeyZack",
            "model": "Gateway",
        },
    }
    if unit := _UNITS.get(figure.unit, figure.unit):
        body["unit_of_measurement"] = unit
    if device_class is not None:
        body["device_class"] = device_class
    # A KPI is of a period and starts again with it, which for Home Assistant is a `total`.
    body["state_class"] = "total" if device_class in _TOTALS else "measurement"
    if status is not None:
        body["availability_topic"] = status
    return Publication(f"{prefix}/sensor/{node_id(site)}/{object_id}/config", orjson.dumps(body))


def state(figure: Figure, site: str) -> Publication:
    """The figure's value and attributes; null where there is none, which is shown as unknown."""
    value = figure.value if figure.value is not None and isfinite(figure.value) else None
    return Publication(state_topic(site, figure), orjson.dumps({"value": value, **(figure.attributes or {})}))


def removal(figure_key: str, site: str, prefix: str) -> Publication:
    """An empty retained configuration takes a figure away."""
    return Publication(f"{prefix}/sensor/{node_id(site)}/{_FORBIDDEN.sub('_', figure_key)}/config", b"")
