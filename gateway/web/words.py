"""What the page says, as pure functions: faults, ages, qualities, alarms, banners, the day's answer.

Everything comes in as an argument, so that each sentence is tested in both languages without a gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from drivers.base import FIRST_BAD, FaultCode, Quality
from gateway.clock import SECOND_NS
from gateway.records import Alarm, KpiResult, Severity
from gateway.status import DeviceStatus, PointStatus, SinkStatus, SiteStatus
from gateway.web import formats
from gateway.web.formats import NBSP, Lang
from gateway.web.languages import Language

NB_HYPHEN = "\u2011"
STALE_AFTER_PERIODS = 3.0
"""A point is greyed with its age once it is this many of its own periods old."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Who is spoken to, when and where: the language, the site's zone and the time of speaking."""

    language: Language
    zone: ZoneInfo
    now: int

    @property
    def lang(self) -> Lang:
        return self.language.code

    def t(self, key: str, **values: object) -> str:
        return self.language.t(key, **values)

    def moment(self, ns: int) -> str:
        return formats.moment(ns, self.now, self.zone, self.lang)

    def clock(self, ns: int) -> str:
        return formats.moment(ns, self.now, self.zone, self.lang, seconds=True)

    def age_s(self, ns: int) -> float:
        return max(0.0, (self.now - ns) / SECOND_NS)

    def age(self, ns: int) -> str:
        return formats.duration(self.age_s(ns), self.lang)

    def percent(self, value: float, digits: int = 3) -> str:
        return formats.quantity(value, "%", self.lang, digits=digits, trim=True)

    def share(self, value: float) -> str:
        return formats.share(value, self.lang)


@dataclass(frozen=True, slots=True)
class Mark:
    """A state as people see it: `tone` chooses colour and shape together, `text` says it."""

    tone: str
    """red square, amber triangle, green circle, blue diamond, or grey ring: nothing to say yet."""
    text: str


def fault_words(code: str, voice: Voice, *, since: int = 0, last_value: int = 0, every_s: float = 0.0) -> str:
    """A fault as a sentence without its subject: what, since when, when it last spoke, what to check.

    since, last_value: UTC ns, 0 when unknown. An unknown code is printed as it is: better than nothing.
    """
    if code == FaultCode.SILENT and (last_value or since):
        age = voice.age(last_value or since)
        if not every_s:
            return voice.t("fault.silent.plain", age=age)
        return voice.t("fault.silent", age=age, every=formats.duration(every_s, voice.lang))
    if code == FaultCode.SILENT:
        return voice.t("fault.no_answer")
    words = voice.t(f"fault.{code}") if voice.language.has(f"fault.{code}") else code.replace("_", " ")
    if since:
        words += voice.t("fault.since", time=voice.moment(since))
    if last_value:
        words += voice.t("fault.last", time=voice.moment(last_value))
    return words


def device_mark(device: DeviceStatus, voice: Voice) -> Mark:
    """A device's state in words: it answers, it answers in part, or what is wrong with it."""
    if device.fault:
        words = fault_words(
            device.fault, voice, since=device.since, last_value=device.last_answer, every_s=device.every_s
        )
        return Mark("red", words)
    if not device.online:
        return Mark("grey", voice.t("equipment.waiting"))
    if device.points_good < device.points:
        missing = device.points - device.points_good
        return Mark("amber", voice.t("equipment.partly", n=missing, all=device.points))
    return Mark("green", voice.t("equipment.ok"))


def quality_mark(point: PointStatus, voice: Voice) -> Mark:
    """A point's quality in one word, or its own fault in words."""
    if not point.time:
        return Mark("grey", voice.t("quality.none"))
    if point.quality >= FIRST_BAD:
        if point.fault:
            return Mark("red", fault_words(point.fault, voice))
        tone = "amber" if point.quality == Quality.STALE else "red"
        return Mark(tone, quality_word(point.quality, voice))
    return Mark("green" if point.quality == Quality.GOOD else "amber", quality_word(point.quality, voice))


def quality_word(code: int, voice: Voice) -> str:
    """The published name of a quality code in the visitor's language; an unknown code prints its number."""
    key = f"quality.{code}"
    return voice.t(key) if voice.language.has(key) else str(code)


def is_stale(point: PointStatus, now: int) -> bool:
    """Older than a few of its own periods: shown greyed, with its age."""
    if point.quality == Quality.STALE:
        return True
    return bool(
        point.time and point.every_s and now - point.time > STALE_AFTER_PERIODS * point.every_s * SECOND_NS
    )


def point_value(value: float | None, unit: str, kind: str, voice: Voice) -> str:
    """A point's value with its unit: a switch is on or off, a counter keeps its decimal."""
    if value is None:
        return formats.DASH
    if unit == "1" and value in (0.0, 1.0) and kind in ("state", "command"):
        return voice.t("point.on" if value else "point.off")
    if kind == "counter" and abs(value) < 1e6:
        text = formats.grouped(value, 1, voice.lang)
        return f"{text}{NBSP}{formats.unit_text(unit)}" if formats.unit_text(unit) else text
    return formats.quantity(value, unit, voice.lang, trim=unit in ("1", ""))


def alarm_words(alarm: Alarm, voice: Voice, devices: Mapping[str, DeviceStatus] | None = None) -> str:
    """An alarm as a sentence without its full stop. A kind unknown here speaks with its own message."""
    key = f"alarm.{alarm.kind}"
    if not voice.language.has(key):
        return alarm.message
    source = alarm_source(alarm, voice)
    value = formats.about(alarm.value or 0.0, voice.lang)
    if alarm.kind not in ("device_lost", "point_bad"):
        return voice.t(key, source=source, value=value)
    code = _fault_code(alarm)
    if not code:
        return voice.t(f"{key}.plain", source=source)
    device = (devices or {}).get(alarm.source)
    if device is not None and device.fault == code and not alarm.cleared:
        return voice.t(key, source=source, words=device_mark(device, voice).text)
    return voice.t(key, source=source, words=fault_words(code, voice))


def alarm_source(alarm: Alarm, voice: Voice) -> str:
    """Where an alarm comes from, by its name for people."""
    family, _, name = alarm.source.partition("/")
    if family == "kpi":
        return kpi_name(name, voice)
    return name if family == "sync" else alarm.source


def _fault_code(alarm: Alarm) -> str:
    """The fault code that an alarm's message starts with, after 'source: '."""
    first = alarm.message.removeprefix(f"{alarm.source}: ").split(" ", 1)[0]
    return first if first in set(FaultCode) else ""


def severity_mark(severity: Severity, voice: Voice) -> Mark:
    """Severity by colour, shape and word."""
    tone = {Severity.CRITICAL: "red", Severity.WARNING: "amber", Severity.INFORMATION: "blue"}[severity]
    return Mark(tone, voice.t(f"severity.{int(severity)}"))


def kpi_name(kpi: str, voice: Voice) -> str:
    """A KPI's name for people; one without a name yet keeps its id, readable."""
    key = f"kpi.{kpi}.name"
    return voice.t(key) if voice.language.has(key) else kpi.replace("_", " ")


def banners(status: SiteStatus, voice: Voice) -> list[Mark]:
    """What is wrong with the gateway itself, the worst first; nothing when all is well."""
    found = []
    if status.store.mode != "disk":
        found.append(Mark("red", voice.t("banner.memory")))
    if not status.ready:
        reasons = ", ".join(status.not_ready_because) or "…"
        found.append(Mark("amber", voice.t("banner.not_ready", reasons=reasons)))
    found += [Mark("amber", _cloud_away(sink, status, voice)) for sink in status.sinks if _is_away(sink)]
    if status.worker == "down":
        found.append(Mark("amber", voice.t("banner.worker")))
    if status.importing and status.importing.done < status.importing.total:
        done, total = status.importing.done, status.importing.total
        words = voice.t(
            "banner.importing",
            share=voice.percent(100 * done / total, 2),
            done=formats.about(done, voice.lang),
            total=formats.about(total, voice.lang),
        )
        found.append(Mark("blue", words))
    return found


def _is_away(sink: SinkStatus) -> bool:
    """A sink not connected that was never tried (no time, no error) is starting, not away."""
    return not sink.connected and bool(sink.since or sink.last_error)


def _cloud_away(sink: SinkStatus, status: SiteStatus, voice: Voice) -> str:
    since = voice.moment(sink.since or status.started)
    backlog = formats.about(sink.backlog, voice.lang)
    if status.store.mode != "disk":
        return voice.t("banner.cloud.memory", since=since, backlog=backlog)
    room = ""
    if status.store.room_s is not None:
        room = voice.t("banner.room", room=formats.duration(status.store.room_s, voice.lang))
    return voice.t("banner.cloud", since=since, backlog=backlog, room=room)


def headline(status: SiteStatus, savings: KpiResult | None, voice: Voice) -> list[str]:
    """The answer, as sentences: does everything answer, is it saving, is something wrong."""
    return [
        _devices_sentence(status, voice),
        *([_savings_sentence(savings, voice)] if savings and savings.value is not None else []),
        _alarms_sentence(status, voice),
    ]


def _devices_sentence(status: SiteStatus, voice: Voice) -> str:
    total = len(status.devices)
    online = sum(device.online for device in status.devices)
    if not total:
        return voice.t("today.no_devices")
    if not online and not any(device.fault for device in status.devices):
        return voice.t("today.starting")
    if online == total:
        return voice.language.plural("today.all", total)
    return voice.t("today.some", online=online, n=total)


def _savings_sentence(savings: KpiResult, voice: Voice) -> str:
    value = savings.value or 0.0
    this_month = savings.cadence == "monthly" and savings.start <= voice.now < savings.end
    key = f"today.{'saved' if value >= 0 else 'more'}.{'month' if this_month else 'period'}"
    period = formats.period(savings.start, savings.cadence, voice.zone, voice.lang)
    sentence = voice.t(key, value=voice.percent(abs(value), 2), period=period)
    if savings.lower is not None and savings.upper is not None and value >= 0:
        sentence += voice.t(
            "today.between",
            lower=formats.number(savings.lower, voice.lang, digits=2, trim=True),
            upper=voice.percent(savings.upper, 2),
        )
    if savings.target is None:
        return sentence + "."
    return sentence + voice.t("today.target", target=voice.percent(savings.target))


def _alarms_sentence(status: SiteStatus, voice: Voice) -> str:
    if not status.alarms:
        return voice.t("today.alarms.none")
    by_name = {device.device: device for device in status.devices}
    worst = max(status.alarms, key=lambda alarm: (alarm.severity, alarm.raised))
    # Names hold together in the large type.
    first = alarm_words(worst, voice, by_name).replace("-", NB_HYPHEN)
    return voice.language.plural("today.alarms", len(status.alarms), first=first)
