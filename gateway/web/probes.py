"""/healthz, /readyz, /metrics: for watchdogs and Prometheus."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Response

from gateway.web import metrics, schemas
from gateway.web.context import Context
from gateway.web.schemas import answers, encoded


def product_version() -> str:
    """The installed package's version; a bare checkout has none."""
    try:
        return version("heyzack-gateway")
    except PackageNotFoundError:
        return "0"


def probe_router(context: Context) -> APIRouter:
    """The three probes, documented with the API."""
    router = APIRouter(tags=["probes"])

    @router.get("/healthz", responses=answers(schemas.Health))
    async def healthz() -> Response:
        """The process is alive and its event loop turns."""
        return encoded(schemas.Health("ok", product_version()))

    not_ready: dict[int | str, Any] = {
        503: {
            "description": "Not ready, and why.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Readiness"}}},
        }
    }

    @router.get("/readyz", responses=answers(schemas.Readiness) | not_ready)
    async def readyz() -> Response:
        """Whether the gateway does its work: 503 with the reasons while it does not."""
        status = context.gateway.status()
        answer = schemas.Readiness(status.ready, status.not_ready_because)
        return encoded(answer, 200 if status.ready else 503)

    text: dict[int | str, Any] = {
        200: {"description": "Prometheus text format 0.0.4.", "content": {"text/plain": {}}}
    }

    @router.get("/metrics", responses=text)
    async def prometheus() -> Response:
        """Health figures for Prometheus."""
        exposition = metrics.render(metrics.families(context.gateway.status(), context.hub.viewers))
        return Response(exposition, headers={"Content-Type": metrics.CONTENT_TYPE})

    return router
