"""Live values for many viewers from one iteration of the gateway's changes.

One task reads `changes()` while somebody watches; each tick is encoded once per language, whatever the
number of viewers. A viewer that cannot follow loses its oldest ticks, never slows the others.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec
import orjson

from gateway.status import PointStatus, SiteStatus
from gateway.web.formats import Lang
from gateway.web.languages import Language
from gateway.web.words import Voice, point_value, quality_mark

if TYPE_CHECKING:
    from gateway.web.sources import RunningGateway

log = logging.getLogger(__name__)

QUEUE_TICKS = 8
STATUS_EVERY_S = 1.0
KEEP_ALIVE_S = 15.0
RETRY_MS = 3000


def status_version(status: SiteStatus) -> str:
    """A short mark that changes when the page would: devices, alarms, KPIs, sinks, readiness.

    Figures that move all the time (latency, backlog, counts) are left out; the import counts by percent.
    """
    importing = status.importing
    facts = (
        [(d.device, d.online, d.fault, d.points_good) for d in status.devices],
        [(a.source, a.kind, a.raised, a.acknowledged_by) for a in status.alarms],
        [(k.kpi, k.cadence, k.scope, k.start, k.computed) for k in status.kpis],
        [(s.sink, s.connected, s.dead_letters) for s in status.sinks],
        (status.ready, status.not_ready_because, status.store.mode, status.worker),
        100 * importing.done // max(1, importing.total) if importing else -1,
    )
    return f"{zlib.crc32(msgspec.json.encode(facts)):08x}"


def points_event(points: Sequence[PointStatus], voice: Voice) -> bytes:
    """The `points` event: raw values for programs, texts for the page."""
    rows = []
    for point in points:
        mark = quality_mark(point, voice)
        rows.append(
            {
                "device": point.device,
                "point": point.point,
                "series": point.series,
                "time": point.time,
                "value": point.value,
                "quality": point.quality,
                "text": point_value(point.value, point.unit, point.kind, voice),
                "tone": mark.tone,
                "words": mark.text,
                "at": voice.clock(point.time) if point.time else "",
            }
        )
    return event("points", {"points": rows})


def status_event(status: SiteStatus, voice: Voice) -> bytes:
    """The `status` event: the version a page compares with its own, and the time it is true for."""
    facts = {
        "version": status_version(status),
        "time": status.time,
        "at": voice.clock(status.time),
        "ready": status.ready,
        "devices": len(status.devices),
        "online": sum(device.online for device in status.devices),
        "alarms": len(status.alarms),
    }
    return event("status", facts)


def event(name: str, data: object) -> bytes:
    """One server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


class LiveHub:
    """Hands every tick to every viewer. `close` ends all streams, so that a shutdown need not wait."""

    def __init__(self, gateway: RunningGateway, languages: Mapping[Lang, Language]) -> None:
        self._gateway = gateway
        self._languages = languages
        self._queues: dict[asyncio.Queue[bytes | None], Lang] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    @property
    def viewers(self) -> int:
        return len(self._queues)

    async def stream(self, lang: Lang) -> AsyncIterator[bytes]:
        """Events for one viewer, beginning with the status now, until it leaves or the hub closes."""
        if self._closed:
            return
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_TICKS)
        self._queues[queue] = lang
        self._start()
        try:
            status = self._gateway.status()
            yield b"retry: %d\n\n" % RETRY_MS + status_event(status, self._voice(lang, status))
            while True:
                try:
                    tick = await asyncio.wait_for(queue.get(), KEEP_ALIVE_S)
                except TimeoutError:
                    tick = b": still here\n\n"
                if tick is None:
                    return
                yield tick
        finally:
            del self._queues[queue]
            if not self._queues:
                self._stop()

    async def close(self) -> None:
        """End every stream and the tasks behind them."""
        self._closed = True
        for queue in self._queues:
            _put(queue, None)
        tasks = self._stop()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def _voice(self, lang: Lang, status: SiteStatus) -> Voice:
        return Voice(self._languages[lang], ZoneInfo(status.timezone), status.time)

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._forward_points(), name="web-live-points"),
                asyncio.create_task(self._forward_status(), name="web-live-status"),
            ]

    def _stop(self) -> list[asyncio.Task[None]]:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        return tasks

    async def _forward_points(self) -> None:
        while True:
            try:
                async for points in self._gateway.changes():
                    if points:
                        self._send_points(points)
            except Exception:
                log.exception("live values stopped; trying again")
            await asyncio.sleep(STATUS_EVERY_S)

    async def _forward_status(self) -> None:
        while True:
            await asyncio.sleep(STATUS_EVERY_S)
            try:
                status = self._gateway.status()
                self._send({lang: status_event(status, self._voice(lang, status)) for lang in self._wanted()})
            except Exception:
                log.exception("live status stopped; trying again")

    def _send_points(self, points: Sequence[PointStatus]) -> None:
        status = self._gateway.status()
        self._send({lang: points_event(points, self._voice(lang, status)) for lang in self._wanted()})

    def _wanted(self) -> set[Lang]:
        return set(self._queues.values())

    def _send(self, ticks: Mapping[Lang, bytes]) -> None:
        for queue, lang in self._queues.items():
            if tick := ticks.get(lang):
                _put(queue, tick)


def _put(queue: asyncio.Queue[bytes | None], tick: bytes | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(tick)
