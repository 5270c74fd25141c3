"""/api/v1: what the page shows, for programs. Reading is open to whoever reaches it; writing is local."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from gateway.records import Alarm, KpiResult
from gateway.status import SiteStatus
from gateway.web import schemas
from gateway.web.context import Context
from gateway.web.problems import Problem
from gateway.web.schemas import answers, encoded, problem_answers
from gateway.web.security import require_local_write
from gateway.web.series_views import DAY, RANGES, csv_columns, read_trace
from gateway.web.sources import ReloadReport

MAX_SAMPLES = 500_000
MAX_HISTORY_PERIODS = 2000
YEAR_NS = 366 * DAY.length_ns

When = Annotated[
    str, Query(description="ISO 8601 time; without an offset it is the site's local time.", max_length=40)
]


def api_router(context: Context) -> APIRouter:
    """All routes under /api/v1."""
    router = APIRouter(prefix="/api/v1")
    _add_state(router, context)
    _add_points(router, context)
    _add_kpis_and_alarms(router, context)
    _add_stream_and_config(router, context)
    return router


def parse_time(text: str, zone: ZoneInfo, default_ns: int) -> int:
    """UTC ns of an ISO 8601 time; `default_ns` for ''. Raises Problem 400."""
    if not text:
        return default_ns
    try:
        # A '+' of an offset arrives as a space when it was not escaped in the address.
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        at = at if at.tzinfo else at.replace(tzinfo=zone)
        return round(at.astimezone(UTC).timestamp() * 1e6) * 1000
    except (ValueError, OverflowError) as error:
        raise Problem(
            400, "Not a time", f"{text!r} is no ISO 8601 time, for example 2026-11-22T09:40:00Z."
        ) from error


def _window(context: Context, start: str, end: str, default_length_ns: int) -> tuple[int, int]:
    """start..end in UTC ns. Raises Problem 400 when it is empty or backwards."""
    zone = context.gateway.installation.site.timezone
    end_ns = parse_time(end, zone, context.gateway.status().time)
    start_ns = parse_time(start, zone, end_ns - default_length_ns)
    if start_ns >= end_ns:
        raise Problem(400, "Empty time range", "`start` must be before `end`.")
    return start_ns, end_ns


def _add_state(router: APIRouter, context: Context) -> None:
    @router.get("/status", responses=answers(SiteStatus), tags=["state"])
    async def status() -> Response:
        """Everything the gateway knows of itself now: devices, sinks, store, alarms, newest KPIs."""
        return encoded(context.gateway.status())

    @router.get("/devices", responses=answers(schemas.DeviceList), tags=["state"])
    async def devices() -> Response:
        """Every device with its last answer, latency and fault."""
        return encoded(schemas.DeviceList(context.gateway.status().devices))


def _add_points(router: APIRouter, context: Context) -> None:
    @router.get("/points", responses=answers(schemas.PointList), tags=["points"])
    async def points(
        device: Annotated[str | None, Query(description="Only this device's points.", max_length=200)] = None,
    ) -> Response:
        """Points with their newest value, unit and quality code."""
        return encoded(schemas.PointList(tuple(context.gateway.points(device))))

    sample_answers = answers(schemas.Samples, 400, 404, description="Samples as columns, or as CSV.")
    sample_answers[200]["content"]["text/csv"] = {"schema": {"type": "string"}}

    @router.get("/points/{device}/{point}/samples", responses=sample_answers, tags=["points"])
    async def samples(
        device: str,
        point: str,
        start: When = "",
        end: When = "",
        format: Literal["json", "csv"] = "json",  # noqa: A002 - the parameter's public name
        epoch: Annotated[Literal["ns", "ms"], Query(description="Unit of `time` in JSON.")] = "ns",
    ) -> Response:
        """Raw samples, start <= time < end; the last 24 hours unless told. At most 500,000 an answer."""
        found = context.point(device, point)
        start_ns, end_ns = _window(context, start, end, DAY.length_ns)

        def encode(reader: Any) -> bytes:
            read = reader.samples(found.series, start_ns, end_ns)
            if len(read.time) > MAX_SAMPLES:
                raise Problem(400, "Too much at once", "Ask for a shorter time range.")
            if format == "csv":
                return csv_columns(found, read.time, read.value, read.quality)
            body = {
                "device": device,
                "point": point,
                "unit": found.unit,
                "series": found.series,
                "epoch": epoch,
                "time": read.time if epoch == "ns" else read.time // 1_000_000,
                "value": read.value,
                "quality": read.quality,
            }
            return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)

        body = await context.store.read(encode)
        if format == "csv":
            name = "".join(c if c.isalnum() or c in "-_" else "_" for c in f"{device}_{point}")
            disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
            return Response(body, media_type="text/csv; charset=utf-8", headers=disposition)
        return Response(body, media_type="application/json")

    @router.get(
        "/points/{device}/{point}/chart", responses=answers(schemas.ChartColumns, 404), tags=["points"]
    )
    async def chart(
        device: str,
        point: str,
        span: Annotated[Literal["24h", "7d"], Query(alias="range", description="How far back.")] = "24h",
    ) -> Response:
        """The columns that the page's chart draws: thinned levels, or a counter's amounts."""
        found = context.point(device, point)
        end_ns = context.gateway.status().time
        trace = await context.store.read(lambda reader: read_trace(reader, found, RANGES[span], end_ns))
        body = {
            "device": device,
            "point": point,
            "unit": found.unit,
            "amount": trace.amount,
            "step": trace.amount or found.kind in ("state", "setpoint", "command"),
            "time": trace.time,
            "value": trace.value,
            "lower": trace.lower,
            "upper": trace.upper,
        }
        return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def _add_kpis_and_alarms(router: APIRouter, context: Context) -> None:
    @router.get("/kpis", responses=answers(schemas.KpiList), tags=["kpis"])
    async def kpis() -> Response:
        """The newest result of each KPI, cadence and scope, with target, status, range and lineage."""
        return encoded(schemas.KpiList(context.gateway.status().kpis))

    @router.get("/kpis/{kpi}/history", responses=answers(schemas.KpiList, 400, 404), tags=["kpis"])
    async def history(
        kpi: str,
        cadence: Annotated[str | None, Query(description="daily, weekly, ...; the newest result's.")] = None,
        scope: Annotated[str | None, Query(description="The newest result's unless told.")] = None,
        start: When = "",
        end: When = "",
    ) -> Response:
        """A KPI's results whose period starts in start..end, oldest first; the last year unless told."""
        known = [one for one in context.gateway.status().kpis if one.kpi == kpi]
        matching = [one for one in known if cadence in (None, one.cadence) and scope in (None, one.scope)]
        if not matching:
            raise Problem(404, "No such KPI", f"There is no result of {kpi!r} with this cadence and scope.")
        newest = matching[0]
        start_ns, end_ns = _window(context, start, end, YEAR_NS)

        def read(reader: Any) -> tuple[KpiResult, ...]:
            return tuple(reader.kpi_history(kpi, newest.cadence, newest.scope, start_ns, end_ns))

        results = await context.store.read(read)
        if len(results) > MAX_HISTORY_PERIODS:
            raise Problem(400, "Too much at once", "Ask for a shorter time range.")
        return encoded(schemas.KpiList(results))

    @router.get("/alarms", responses=answers(schemas.AlarmList, 400), tags=["alarms"])
    async def alarms(
        state: Annotated[
            Literal["open", "all"], Query(description="Open ones, or the history too.")
        ] = "open",
        start: When = "",
        end: When = "",
    ) -> Response:
        """Open alarms; with state=all those raised in start..end as well (the last 7 days unless told)."""
        status = context.gateway.status()
        if state == "open":
            return encoded(schemas.AlarmList(status.alarms))
        start_ns, end_ns = _window(context, start, end, 7 * DAY.length_ns)
        stored: list[Alarm] = await context.store.read(lambda reader: list(reader.alarms(start_ns, end_ns)))
        newest_first = sorted(stored, key=lambda alarm: alarm.raised, reverse=True)
        return encoded(schemas.AlarmList(tuple(newest_first)))


def _add_stream_and_config(router: APIRouter, context: Context) -> None:
    stream_answer: dict[int | str, Any] = {
        200: {
            "description": "Server-sent events `points` (changed values) and `status` (once a second).",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    }

    @router.get("/stream", responses=stream_answer, tags=["live"])
    async def stream(request: Request) -> Response:
        """Live values and status as server-sent events, texts in the visitor's language."""
        return StreamingResponse(
            context.hub.stream(context.lang(request)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.post(
        "/config/reload",
        responses=answers(ReloadReport) | problem_answers(403) | _reload_refused(),
        dependencies=[Depends(require_local_write)],
        tags=["configuration"],
    )
    async def reload() -> Response:
        """Read the configuration again and apply what changed; with errors the running one stays (409)."""
        report = await context.gateway.reload()
        return encoded(report, 409 if report.errors else 200)


def _reload_refused() -> dict[int | str, Any]:
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/ReloadReport"}}}
    return {409: {"description": "The configuration has errors; nothing was applied.", "content": body}}
