"""Response models: the gateway's own msgspec structs, published as OpenAPI components.

The structs that the gateway runs on are the contract, so that API and status cannot drift apart; msgspec
encodes them as they are and writes their JSON schema, and no second set of models is kept in step.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from gateway.records import Alarm, KpiResult
from gateway.status import DeviceStatus, PointStatus, SiteStatus
from gateway.web.problems import PROBLEM_SCHEMA
from gateway.web.sources import ReloadReport


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str
    version: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the gateway does its work, and if not, why."""

    ready: bool
    reasons: tuple[str, ...]


class DeviceList(msgspec.Struct, frozen=True):
    """All devices."""

    devices: tuple[DeviceStatus, ...]


class PointList(msgspec.Struct, frozen=True):
    """Points with their newest value."""

    points: tuple[PointStatus, ...]


class KpiList(msgspec.Struct, frozen=True):
    """Results with their lineage."""

    kpis: tuple[KpiResult, ...]


class AlarmList(msgspec.Struct, frozen=True):
    """Alarms, the newest first."""

    alarms: tuple[Alarm, ...]


class Samples(msgspec.Struct, frozen=True):
    """Raw samples as columns. time: UTC ns (or ms, as asked); value: null where the quality is bad."""

    device: str
    point: str
    unit: str
    series: int
    epoch: str
    time: list[int]
    value: list[float | None]
    quality: list[int]


class ChartColumns(msgspec.Struct, frozen=True):
    """What the page draws. time: UTC seconds; value null in gaps; lower, upper: the range seen around it."""

    device: str
    point: str
    unit: str
    amount: bool
    step: bool
    time: list[float]
    value: list[float | None]
    lower: list[float | None]
    upper: list[float | None]


_MODELS = (
    Health,
    Readiness,
    SiteStatus,
    DeviceList,
    PointList,
    KpiList,
    AlarmList,
    Samples,
    ChartColumns,
    ReloadReport,
)


def encoded(value: object, status: int = 200) -> Response:
    """A struct as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def answers(model: type[msgspec.Struct], *problems: int, description: str = "") -> dict[int | str, Any]:
    """FastAPI's `responses` of a route that gives `model`, or one of these problems."""
    documented: dict[int | str, Any] = {
        200: {
            "description": description or (model.__doc__ or "").split("\n")[0],
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}},
        }
    }
    return documented | problem_answers(*problems)


def problem_answers(*problems: int) -> dict[int | str, Any]:
    """FastAPI's `responses` for these problems."""
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": "A problem (RFC 9457).", "content": schema} for status in problems}


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document with the structs' schemas as components; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        _, components = msgspec.json.schema_components(_MODELS, ref_template="#/components/schemas/{name}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas.update(components)
        schemas["Problem"] = PROBLEM_SCHEMA
        for operations in document["paths"].values():
            for operation in operations.values():
                _without_default_422(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _without_default_422(operation: dict[str, Any]) -> None:
    """FastAPI documents its own 422 form, which this API never sends: a bad parameter is a problem 400."""
    if operation["responses"].pop("422", None) is not None:
        operation["responses"].setdefault("400", problem_answers(400)[400])
