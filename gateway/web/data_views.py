"""The data page: what waits for the cloud, what is kept here, how complete it is."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from gateway.clock import SECOND_NS
from gateway.site import SITE_DEVICE
from gateway.status import PointStatus, SinkStatus, SiteStatus
from gateway.web import formats
from gateway.web.words import Mark, Voice

if TYPE_CHECKING:
    from gateway.store.columns import Intervals
    from gateway.store.reader import Reader

DAYS = 7
HOUR_NS = 3600 * SECOND_NS
GOOD_SHARE, FAIR_SHARE = 99.0, 90.0


@dataclass(frozen=True, slots=True)
class SinkView:
    """One sink in words."""

    name: str
    mark: Mark
    backlog: str
    oldest: str
    acknowledged: str
    dead: str
    error: str
    success: str


def sink_views(sinks: Sequence[SinkStatus], voice: Voice) -> list[SinkView]:
    return [_sink_view(sink, voice) for sink in sinks]


def _sink_view(sink: SinkStatus, voice: Voice) -> SinkView:
    if sink.connected:
        mark = Mark("green", voice.t("data.connected"))
    elif sink.since:
        mark = Mark("amber", voice.t("data.away", since=voice.moment(sink.since)))
    else:
        mark = Mark("grey", voice.t("data.worker.starting"))
    oldest = voice.moment(sink.oldest_unsent) if sink.oldest_unsent else voice.t("data.nothing")
    return SinkView(
        name=sink.sink,
        mark=mark,
        backlog=formats.count(sink.backlog, voice.lang),
        oldest=oldest,
        acknowledged=formats.count(sink.acknowledged, voice.lang),
        dead=formats.count(sink.dead_letters, voice.lang),
        error=sink.last_error,
        success=voice.moment(sink.last_success) if sink.last_success else formats.DASH,
    )


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and its value; tone 'amber' or 'red' where somebody should look."""

    label: str
    value: str
    tone: str = ""


def store_facts(status: SiteStatus, voice: Voice) -> list[Fact]:
    """The store in words."""
    store, lang = status.store, voice.lang
    used = voice.t(
        "data.used.of", used=formats.size(store.bytes_used, lang), cap=formats.size(store.bytes_cap, lang)
    )
    room = voice.t("data.room.unknown")
    if store.room_s is not None:
        room = voice.t("data.room.about", room=formats.duration(store.room_s, lang))
    on_disk = store.mode == "disk"
    mode = voice.t("data.mode.disk" if on_disk else "data.mode.memory")
    return [
        Fact(voice.t("data.samples"), formats.count(store.samples_committed, lang)),
        Fact(voice.t("data.used"), used, "amber" if _share(status) > 80 else ""),
        Fact(voice.t("data.room"), room),
        Fact(voice.t("data.free"), formats.size(store.bytes_free_on_disk, lang)),
        Fact(voice.t("data.mode"), mode, "" if on_disk else "red"),
        Fact(voice.t("data.dropped"), formats.count(store.dropped, lang), "red" if store.dropped else ""),
        Fact(
            voice.t("data.quarantined"),
            formats.count(store.quarantined, lang),
            "red" if store.quarantined else "",
        ),
        Fact(voice.t("data.late"), formats.count(status.poll_late, lang)),
        Fact(
            voice.t("data.worker"),
            voice.t(f"data.worker.{status.worker}"),
            "red" if status.worker == "down" else "",
        ),
        Fact(voice.t("data.started"), voice.moment(status.started)),
    ]


def _share(status: SiteStatus) -> float:
    cap = status.store.bytes_cap
    return 100.0 * status.store.bytes_used / cap if cap else 0.0


@dataclass(frozen=True, slots=True)
class DayCell:
    """One local day's completeness of one series. tone: green, amber, red, or grey for nothing stored."""

    day: str
    share: str
    tone: str


@dataclass(frozen=True, slots=True)
class CompletenessRow:
    """One series over the last days."""

    name: str
    cells: tuple[DayCell, ...]
    share: str


Shares = tuple[str, list[float]]
"""A series' name and its completeness by day [%]."""


def read_completeness(reader: Reader, points: Sequence[PointStatus], edges: Sequence[int]) -> list[Shares]:
    """Blocking. The mean completeness [%] of the hours between the day edges (UTC ns), by series.

    The building's own role series; where nothing of them is stored, every counter. An hour without a
    stored interval counts as 0; a day without any is NaN: nothing was expected of it.
    """
    roles = {one.point: one.series for one in reader.series() if one.device == SITE_DEVICE}
    rows = _shares(reader, roles, edges)
    if rows:
        return rows
    counters = {f"{one.device}/{one.point}": one.series for one in points if one.kind == "counter"}
    return _shares(reader, counters, edges)


def _shares(reader: Reader, series: Mapping[str, int], edges: Sequence[int]) -> list[Shares]:
    found = []
    for name, one in series.items():
        hours = reader.intervals(one, "1h", edges[0], edges[-1])
        if len(hours):
            found.append((name, _by_day(hours, edges)))
    return found


def _by_day(hours: Intervals, edges: Sequence[int]) -> list[float]:
    first, shares = int(hours.start[0]), []
    for start, end in itertools.pairwise(edges):
        inside = (hours.start >= start) & (hours.start < end)
        expected = (end - max(start, first)) // HOUR_NS
        shares.append(float(hours.completeness[inside].sum() / expected) if expected > 0 else np.nan)
    return shares


def day_edges(voice: Voice, days: int = DAYS) -> list[int]:
    """Local midnights of the last `days` days, ending at the last full hour; DST days have 23 or 25 hours."""
    midnight = formats.local(voice.now, voice.zone).replace(hour=0, minute=0, second=0, tzinfo=None)
    starts = [midnight - timedelta(days=back) for back in range(days - 1, -1, -1)]
    edges = [round(start.replace(tzinfo=voice.zone).timestamp()) * SECOND_NS for start in starts]
    return [*edges, max(voice.now // HOUR_NS * HOUR_NS, edges[-1])]


def completeness_rows(shares: Sequence[Shares], edges: Sequence[int], voice: Voice) -> list[CompletenessRow]:
    """The strip of days for each series of which anything is stored."""
    days = [formats.short_period(edge, "daily", voice.zone, voice.lang) for edge in edges[:-1]]
    rows = []
    for name, by_day in shares:
        known = [share for share in by_day if np.isfinite(share)]
        if known:
            cells = tuple(_cell(day, share, voice) for day, share in zip(days, by_day, strict=True))
            rows.append(CompletenessRow(name, cells, voice.share(float(np.mean(known)))))
    return rows


def _cell(day: str, share: float, voice: Voice) -> DayCell:
    if not np.isfinite(share):
        return DayCell(day, formats.DASH, "grey")
    tone = "green" if share >= GOOD_SHARE else "amber" if share >= FAIR_SHARE else "red"
    return DayCell(day, voice.share(share), tone)
