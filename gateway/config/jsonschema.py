"""JSON Schema of a configuration, so that an editor completes keys and marks mistakes while typing.

It is made from the models that read the configuration. It knows less than `heyzack validate`: whether a name
exists, whether units fit, whether addresses clash is for that to say.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from drivers.registry import KINDS
from gateway.config.schema import (
    DeviceSection,
    KpisSection,
    PointSection,
    RoleSection,
    SinkSection,
    SiteSection,
    StoreSection,
    WebSection,
    ZoneSection,
)
from gateway.expressions import NAME

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}


def site_schema() -> Schema:
    """The schema of site.yaml."""
    collected = _Definitions()
    properties = {
        "site": collected.of(SiteSection),
        "links": _named({"oneOf": [_link(kind, collected) for kind in KINDS]}),
        "devices": _named(_device(collected)),
        "roles": {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "string"}, collected.of(RoleSection)]},
        },
        "zones": _named(collected.of(ZoneSection)),
        "kpis": collected.of(KpisSection),
        "store": collected.of(StoreSection),
        "sync": _named(collected.of(SinkSection)),
        "web": collected.of(WebSection),
    }
    return {
        "$schema": DIALECT,
        "title": "HeyZack Gateway: site.yaml",
        "type": "object",
        "required": ["site"],
        "additionalProperties": False,
        "properties": properties,
        "$defs": collected.definitions,
    }


def devices_schema() -> Schema:
    """The schema of a file in devices/."""
    collected = _Definitions()
    body = _named(_device(collected))
    title = "HeyZack Gateway: devices/*.yaml"
    return {"$schema": DIALECT, "title": title, **body, "$defs": collected.definitions}


class _Definitions:
    """Schemas of models, their shared parts collected in one place."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def of(self, model: type[BaseModel]) -> Schema:
        schema: Schema = _with_references(model.model_json_schema(by_alias=True))
        self.definitions.update(schema.pop("$defs", {}))
        return schema


def _named(schema: Schema) -> Schema:
    return {"type": "object", "propertyNames": {"pattern": f"^{NAME}$"}, "additionalProperties": schema}


def _link(driver: str, collected: _Definitions) -> Schema:
    schema: Schema = collected.of(KINDS[driver].link_settings)
    properties = {"driver": {"const": driver}, "description": {"type": "string"}, **schema["properties"]}
    return schema | {
        "title": driver,
        "properties": properties,
        "required": ["driver", *schema.get("required", [])],
    }


def _device(collected: _Definitions) -> Schema:
    """A device of any driver: its keys, those of an implicit link, and its points."""
    packages = {kind.package: kind for kind in KINDS.values()}.values()
    schemas = [collected.of(DeviceSection), *(collected.of(kind.device_settings) for kind in packages)]
    schemas += [collected.of(kind.link_settings) for kind in KINDS.values()]
    points = [collected.of(kind.point_settings) for kind in packages]
    point = _merged([*points, collected.of(PointSection)])
    properties = _merged(schemas)["properties"]
    properties["points"] = _named({"anyOf": [point, {"const": False}]})
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _merged(schemas: list[Schema]) -> Schema:
    """One object with the properties of all; what two define differently may be either."""
    properties: dict[str, Schema] = {}
    for schema in schemas:
        for key, value in schema.get("properties", {}).items():
            known = properties.get(key)
            if known is None:
                properties[key] = value
            elif known != value:
                choices = known.get("anyOf", [known])
                properties[key] = {"anyOf": choices if value in choices else [*choices, value]}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _with_references(schema: Any) -> Any:
    """The schema with `${...}` allowed wherever a scalar is: it is replaced before the type is checked."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    done = {key: _with_references(value) for key, value in schema.items()}
    if done.get("type") in ("integer", "number", "boolean") or ("type" in done and "pattern" in done):
        default = {"default": done.pop("default")} if "default" in done else {}
        return {"anyOf": [done, _REFERENCE], **default}
    return done
