"""The pages: what the gateway knows, put into words and drawn, as HTML that needs no JavaScript."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from jinja2 import Environment
from markupsafe import Markup
from starlette.responses import HTMLResponse

from gateway.records import Alarm, KpiResult, Severity
from gateway.site import SITE_DEVICE
from gateway.status import PointStatus, SiteStatus
from gateway.web import data_views, formats, kpi_views, series_views, words
from gateway.web.context import LANG_COOKIE, Context
from gateway.web.kpi_details import detail_rows
from gateway.web.languages import as_lang
from gateway.web.live import status_version
from gateway.web.problems import Problem
from gateway.web.words import Voice

log = logging.getLogger(__name__)

NAVIGATION = (("today", "/"), ("equipment", "/equipment"), ("alarms", "/alarms"), ("data", "/data"))
COOKIE_AGE_S = 365 * 86400


class Pages:
    """Renders templates with what every page needs."""

    def __init__(self, context: Context, templates: Environment) -> None:
        self.context = context
        self._templates = templates

    def start(self, request: Request) -> tuple[SiteStatus, Voice]:
        """The status and the voice that one page is made with: one moment, one language."""
        status = self.context.gateway.status()
        return status, self.context.voice(request, status)

    def render(
        self,
        request: Request,
        template: str,
        status: SiteStatus,
        voice: Voice,
        /,
        *,
        code: int = 200,
        **values: Any,
    ) -> Response:
        """A page. ?lang= is remembered in a cookie."""
        html = self._templates.get_template(template).render(
            voice=voice,
            t=voice.t,
            formats=formats,
            words=words,
            status=status,
            version=status_version(status),
            banners=words.banners(status, voice),
            navigation=NAVIGATION,
            here=request.url.path,
            other_language=_other_language(request, voice),
            open_alarms=sum(alarm.severity >= Severity.WARNING for alarm in status.alarms),
            segment=lambda text: quote(text, safe=""),
            **values,
        )
        response = HTMLResponse(html, code, headers={"Vary": "Accept-Language, Cookie"})
        if chosen := as_lang(request.query_params.get("lang")):
            response.set_cookie(LANG_COOKIE, chosen, max_age=COOKIE_AGE_S, samesite="lax", httponly=True)
        return response


def _other_language(request: Request, voice: Voice) -> str:
    """The address of this page in the other language."""
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "lang"]
    other = "en" if voice.lang == "fr" else "fr"
    return f"{quote(request.url.path)}?{urlencode([*kept, ('lang', other)])}"


def page_router(pages: Pages) -> APIRouter:
    """All pages."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    _add_today(router, pages)
    _add_equipment(router, pages)
    _add_point(router, pages)
    _add_alarms_and_data(router, pages)
    return router


def _add_today(router: APIRouter, pages: Pages) -> None:
    async def histories(results: Sequence[KpiResult]) -> dict[str, list[KpiResult]]:
        """Each KPI's earlier periods; without them (a store that cannot be read) tiles have no line."""

        def read(reader: Any) -> dict[str, list[KpiResult]]:
            found = {}
            for one in results:
                start, end = kpi_views.history_window(one)
                found[one.kpi] = list(reader.kpi_history(one.kpi, one.cadence, one.scope, start, end))
            return found

        try:
            return await pages.context.store.read(read)
        except Exception:
            log.exception("KPI history cannot be read")
            return {}

    @router.get("/")
    async def today(request: Request) -> Response:
        status, voice = pages.start(request)
        chosen = kpi_views.choose(status.kpis)
        past = await histories(chosen)
        tiles = [kpi_views.tile(one, past.get(one.kpi, []), voice) for one in chosen]
        savings = next((one for one in chosen if one.kpi == "energy_savings"), None)
        return pages.render(
            request,
            "today.html",
            status,
            voice,
            sentences=words.headline(status, savings, voice),
            headline_tiles=[tile for tile in tiles if tile.headline],
            figure_tiles=[tile for tile in tiles if not tile.headline],
            devices_by_name={device.device: device for device in status.devices},
        )

    @router.get("/kpi/{kpi}")
    async def why(request: Request, kpi: str) -> Response:
        status, voice = pages.start(request)
        cadence = request.query_params.get("cadence")
        candidates = [one for one in status.kpis if one.kpi == kpi and cadence in (None, one.cadence)]
        chosen = kpi_views.choose(candidates) or candidates
        if not chosen and not voice.language.has(f"kpi.{kpi}.name"):
            raise Problem(404, "No such KPI")
        result = chosen[0] if chosen else None
        past: list[KpiResult] = []
        if result:
            found = await histories([result])
            past = [one for one in found.get(kpi, []) if one.start < result.start] + [result]
        return pages.render(
            request,
            "kpi.html",
            status,
            voice,
            kpi=kpi,
            name=words.kpi_name(kpi, voice),
            result=result,
            tile=kpi_views.tile(result, past, voice) if result else None,
            baseline=kpi_views.baseline_words(result, voice) if result else "",
            chart=kpi_views.history_chart(past, voice) if result else Markup(""),
            rows=kpi_views.history_rows(past, voice),
            fit=detail_rows(result, voice) if result else [],
            lineage=kpi_views.lineage(result, voice) if result else [],
            cadences=sorted({one.cadence for one in status.kpis if one.kpi == kpi}),
        )


def _add_equipment(router: APIRouter, pages: Pages) -> None:
    @router.get("/equipment")
    async def equipment(request: Request) -> Response:
        status, voice = pages.start(request)
        devices = sorted(
            (device for device in status.devices if device.device != SITE_DEVICE),
            key=lambda device: (device.online, device.points_good >= device.points, device.device),
        )
        return pages.render(request, "equipment.html", status, voice, devices=devices)

    @router.get("/equipment/{device}")
    async def device(request: Request, device: str) -> Response:
        status, voice = pages.start(request)
        found = next((one for one in status.devices if one.device == device), None)
        if found is None:
            raise Problem(404, "No such device")
        points = pages.context.gateway.points(device)
        return pages.render(request, "device.html", status, voice, device=found, points=points)


def _add_point(router: APIRouter, pages: Pages) -> None:
    @router.get("/points/{device}/{point}")
    async def point(request: Request, device: str, point: str) -> Response:
        status, voice = pages.start(request)
        found = pages.context.point(device, point)
        span = series_views.RANGES.get(request.query_params.get("range", "24h"), series_views.DAY)
        chart, rows, readable = await _history(pages.context, found, span, voice)
        return pages.render(
            request,
            "point.html",
            status,
            voice,
            point=found,
            span=span,
            chart=chart,
            rows=rows,
            readable=readable,
            csv_start=formats.iso(status.time - span.length_ns),
            csv_end=formats.iso(status.time + 1_000_000_000),
        )


async def _history(
    context: Context, point: PointStatus, span: series_views.Range, voice: Voice
) -> tuple[Markup, list[series_views.TableRow], bool]:
    """The chart, the table, and whether the store could be read at all."""

    def read(reader: Any) -> tuple[Markup, list[series_views.TableRow]]:
        trace = series_views.read_trace(reader, point, span, voice.now)
        intervals = series_views.read_intervals(
            reader, point, span.table, voice.now - span.length_ns, voice.now
        )
        chart = series_views.draw(trace, point, span, voice.now, voice)
        return chart, series_views.table_rows(intervals, point, voice)

    try:
        chart, rows = await context.store.read(read)
    except Exception:
        log.exception("the history of %s/%s cannot be read", point.device, point.point)
        return Markup(""), [], False
    return chart, rows, True


def _add_alarms_and_data(router: APIRouter, pages: Pages) -> None:
    @router.get("/alarms")
    async def alarms(request: Request) -> Response:
        status, voice = pages.start(request)
        start = status.time - series_views.WEEK.length_ns
        past: list[Alarm] = []
        try:
            past = await pages.context.store.read(lambda reader: list(reader.alarms(start, status.time + 1)))
        except Exception:
            log.exception("the alarm history cannot be read")
        over = sorted((one for one in past if one.cleared), key=lambda one: one.raised, reverse=True)
        return pages.render(
            request,
            "alarms.html",
            status,
            voice,
            over=over[:200],
            devices_by_name={device.device: device for device in status.devices},
        )

    @router.get("/data")
    async def data(request: Request) -> Response:
        status, voice = pages.start(request)
        points = pages.context.gateway.points()
        edges = data_views.day_edges(voice)
        shares: list[data_views.Shares] = []
        try:
            shares = await pages.context.store.read(
                lambda reader: data_views.read_completeness(reader, points, edges)
            )
        except Exception:
            log.exception("completeness cannot be read")
        return pages.render(
            request,
            "data.html",
            status,
            voice,
            sinks=data_views.sink_views(status.sinks, voice),
            facts=data_views.store_facts(status, voice),
            completeness=data_views.completeness_rows(shares, edges, voice),
        )
