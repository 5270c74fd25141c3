"""KPI tiles and the *why* page, as data ready to print. Pure: results in, texts and SVG out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from markupsafe import Markup

from gateway.records import KpiResult, Status
from gateway.web import formats
from gateway.web.charts import LineChart, Tick, line_chart, nice_scale, sparkline
from gateway.web.words import Mark, Voice, kpi_name

HEADLINE_CADENCE: Mapping[str, str] = MappingProxyType(
    {
        "energy_savings": "monthly",
        "carbon_reduction": "monthly",
        "peak_load_reduction": "weekly",
        "green_energy_usage": "monthly",
        "water_conservation": "monthly",
        "waste_reduction": "monthly",
        "predictive_accuracy": "weekly",
        "automation_success": "daily",
        "system_uptime": "daily",
        "data_accuracy": "daily",
    }
)
"""Which cadence of a KPI the overview shows, in the order of the tiles; others follow, first come."""

BASELINE_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "energy_savings": "kWh",
        "carbon_reduction": "kgCO2e",
        "peak_load_reduction": "kW",
        "water_conservation": "m3",
        "waste_reduction": "kg",
    }
)
"""The unit of `KpiResult.baseline` where it is not the KPI's own %."""

WHOLE_SITE = ("", "site")
SPARK_PERIODS = 12
_PERIOD_DAYS: Mapping[str, float] = MappingProxyType(
    {"hourly": 1 / 24, "daily": 1.0, "weekly": 7.0, "monthly": 30.5, "quarterly": 91.5, "yearly": 365.25}
)
DAY_NS = 86_400_000_000_000
COMPLETE_ENOUGH = 99.0

_STATUS_TONES: Mapping[Status, str] = MappingProxyType(
    {Status.ON_TRACK: "green", Status.NEAR: "amber", Status.BELOW: "red", Status.EXCEEDING: "blue"}
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One KPI on the overview."""

    kpi: str
    cadence: str
    name: str
    value: str
    unit: str
    mark: Mark
    target: str
    span: str
    """The range in plain words, '' where none is known."""
    period: str
    sofar: str
    """'Partial month' while the period runs, else ''."""
    completeness: str
    reason: str
    spark: Markup
    headline: bool


def kpi_mark(result: KpiResult, voice: Voice) -> Mark:
    """A result's status as a word with its colour and shape. A claim its range contradicts is not proven."""
    if result.status is Status.NOT_ENTERED:
        return Mark("grey", voice.t("status.not_entered"))
    if result.value is None:
        return Mark("grey", voice.t("status.no_data"))
    if result.status in (Status.ON_TRACK, Status.EXCEEDING) and _unproven(result):
        return Mark("amber", voice.t("status.not_proven"))
    if tone := _STATUS_TONES.get(result.status):
        return Mark(tone, voice.t(f"status.{result.status.value}"))
    if result.partial:
        return Mark("grey", sofar_words(result.cadence, voice))
    if result.target is not None:
        return Mark("amber", voice.t("status.not_proven"))
    return Mark("grey", voice.t("status.none"))


def _unproven(result: KpiResult) -> bool:
    return result.evidence == "rejected" or (result.lower is not None and result.lower <= 0.0)


def sofar_words(cadence: str, voice: Voice) -> str:
    """What a period that still runs is called."""
    key = f"kpi.sofar.{cadence}"
    return voice.t(key if voice.language.has(key) else "kpi.sofar.other")


def reason_words(result: KpiResult, voice: Voice) -> str:
    """Why there is no figure or no verdict, in words; a reason unknown here is printed as it came."""
    if result.status is Status.NOT_ENTERED:
        return voice.t("reason.not_entered")
    if not result.reason:
        return voice.t("reason.wait") if result.value is None else ""
    missing = result.reason.removeprefix("no role ")
    if missing != result.reason:
        return voice.t("reason.needs", inputs=missing)
    key = f"reason.{re.sub('[^a-z0-9]+', '_', result.reason.lower()).strip('_')}"
    return voice.t(key) if voice.language.has(key) else result.reason


def span_words(result: KpiResult, voice: Voice) -> str:
    """The range in plain words: people do not read 'CI90'."""
    if result.value is None or result.lower is None or result.upper is None:
        return ""
    return voice.t(
        "kpi.range",
        lower=formats.number(result.lower, voice.lang, trim=True),
        upper=formats.quantity(result.upper, result.unit, voice.lang, trim=True),
    )


def choose(results: Iterable[KpiResult]) -> list[KpiResult]:
    """One result for each KPI, headline KPIs first in their order, at the cadence the overview shows."""
    best: dict[str, KpiResult] = {}
    for result in results:
        if result.scope not in WHOLE_SITE:
            continue
        current = best.get(result.kpi)
        wanted = HEADLINE_CADENCE.get(result.kpi, "monthly")
        if current is None or (result.cadence == wanted and current.cadence != wanted):
            best[result.kpi] = result
    order = {kpi: position for position, kpi in enumerate(HEADLINE_CADENCE)}
    return sorted(best.values(), key=lambda result: order.get(result.kpi, len(order)))


def history_window(result: KpiResult, periods: int = SPARK_PERIODS) -> tuple[int, int]:
    """UTC ns from where `periods` periods of this cadence fit, to the end of the result's own."""
    length = _PERIOD_DAYS.get(result.cadence, 30.5) * DAY_NS
    return result.start - round((periods - 0.5) * length), max(result.end, result.start + 1)


def tile(result: KpiResult, history: Sequence[KpiResult], voice: Voice) -> Tile:
    """The tile of a result; `history` are the periods before it, oldest first (it may hold `result` too)."""
    trend = [*[one for one in history if one.start < result.start][-(SPARK_PERIODS - 1) :], result]
    name = kpi_name(result.kpi, voice)
    label = voice.t("kpi.trend", n=len(trend), name=name)
    target = formats.quantity(result.target, result.unit, voice.lang, trim=True)
    return Tile(
        kpi=result.kpi,
        cadence=result.cadence,
        name=name,
        value=figure(result, voice),
        unit=formats.unit_text(result.unit) if result.value is not None else "",
        mark=kpi_mark(result, voice),
        target=voice.t("kpi.target", target=target) if result.target is not None else "",
        span=span_words(result, voice),
        period=formats.period(result.start, result.cadence, voice.zone, voice.lang),
        sofar=sofar_words(result.cadence, voice) if result.partial and result.value is not None else "",
        completeness=completeness_words(result, voice),
        reason=reason_words(result, voice),
        spark=sparkline([one.value for one in trend], result.target, label) if len(trend) > 1 else Markup(""),
        headline=result.kpi in HEADLINE_CADENCE or result.target is not None,
    )


def figure(result: KpiResult, voice: Voice) -> str:
    """The value without its unit; near 100 % it keeps the digits that its target is about."""
    value = result.value
    if value is not None and result.unit == "%" and 99.0 <= value <= 100.0:
        return formats.share(value, voice.lang).split(formats.NBSP, maxsplit=1)[0]
    text = formats.number(value, voice.lang, trim=value == 0.0)
    if result.target not in (None, value) and text == formats.number(result.target, voice.lang):
        # 19.97 against 20 is near, and must not read 20.0.
        return formats.number(value, voice.lang, digits=4)
    return text


def _with_unit(text: str, result: KpiResult) -> str:
    unit = formats.unit_text(result.unit)
    return f"{text}{formats.NBSP}{unit}" if unit and result.value is not None else text


def baseline_words(result: KpiResult, voice: Voice) -> str:
    """What the model expected without the change; '' where there is no baseline."""
    if result.baseline is None:
        return ""
    unit = BASELINE_UNITS.get(result.kpi, result.unit)
    return voice.t("why.baseline.value", value=formats.quantity(result.baseline, unit, voice.lang))


def completeness_words(result: KpiResult, voice: Voice) -> str:
    """Completeness, only where it is worth a thought: under 99 %."""
    if result.value is None or not result.n_expected or result.completeness >= COMPLETE_ENOUGH:
        return ""
    return voice.t("kpi.complete", share=voice.share(result.completeness))


@dataclass(frozen=True, slots=True)
class Row:
    """One period in the history table."""

    period: str
    value: str
    span: str
    target: str
    mark: Mark
    completeness: str
    start: int


def history_rows(history: Sequence[KpiResult], voice: Voice) -> list[Row]:
    """The periods, newest first."""
    return [
        Row(
            period=formats.period(one.start, one.cadence, voice.zone, voice.lang),
            value=_with_unit(figure(one, voice), one),
            span=_short_span(one, voice),
            target=formats.quantity(one.target, one.unit, voice.lang, trim=True),
            mark=kpi_mark(one, voice),
            completeness=voice.share(one.completeness) if one.n_expected else formats.DASH,
            start=one.start,
        )
        for one in reversed(history)
    ]


def _short_span(result: KpiResult, voice: Voice) -> str:
    if result.lower is None or result.upper is None:
        return formats.DASH
    lower = formats.number(result.lower, voice.lang, trim=True)
    return f"{lower} … {formats.number(result.upper, voice.lang, trim=True)}"


def history_chart(history: Sequence[KpiResult], voice: Voice) -> Markup:
    """The KPI period by period with its range as a band and the target drawn; empty under two values."""
    values = _column([one.value for one in history])
    if np.isfinite(values).sum() < 2:
        return Markup("")
    lower, upper = _column([one.lower for one in history]), _column([one.upper for one in history])
    newest = history[-1]
    target = newest.target
    known = np.concatenate([values, lower, upper, _column([target])])
    scale = nice_scale(float(np.nanmin(known)), float(np.nanmax(known)))
    every = max(1, round(len(history) / 5))
    texts = [formats.short_period(one.start, one.cadence, voice.zone, voice.lang) for one in history]
    ticks = [Tick(float(i), texts[i]) for i in range(len(history) - 1, -1, -every)]
    aim = None
    if target is not None:
        aim_text = formats.quantity(target, newest.unit, voice.lang, trim=True)
        aim = Tick(target, voice.t("kpi.target", target=aim_text))
    return line_chart(
        LineChart(
            x=np.arange(len(history), dtype=np.float64),
            y=values,
            x_range=(-0.2, len(history) - 0.8),
            x_ticks=ticks,
            y_scale=scale,
            y_ticks=[Tick(v, formats.quantity(v, newest.unit, voice.lang, trim=True)) for v in scale.ticks],
            label=voice.t("kpi.trend", n=len(history), name=kpi_name(newest.kpi, voice)),
            lower=lower,
            upper=upper,
            target=aim,
        )
    )


def _column(values: Sequence[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def lineage(result: KpiResult, voice: Voice) -> list[tuple[str, str]]:
    """Where a figure comes from: period, data behind it, model, evidence, when it was computed."""
    rows = [
        (voice.t("why.period"), formats.period(result.start, result.cadence, voice.zone, voice.lang)),
        (voice.t("why.cadence"), _known("cadence", result.cadence, voice)),
        (voice.t("why.evidence"), evidence_words(result, voice)),
    ]
    if result.lower is not None:
        rows.append((voice.t("why.claim"), _known("claim", result.claim, voice)))
    if result.n_expected:
        used = voice.t(
            "why.intervals.of",
            valid=formats.count(result.n_valid, voice.lang),
            expected=formats.count(result.n_expected, voice.lang),
        )
        rows += [
            (voice.t("why.intervals"), used),
            (voice.t("why.completeness"), voice.share(result.completeness)),
            (voice.t("why.estimated"), voice.percent(result.estimated_share)),
        ]
    if result.model_id:
        rows.append((voice.t("why.model_id"), result.model_id))
    if result.computed:
        rows.append((voice.t("why.computed"), voice.clock(result.computed)))
    return rows


def evidence_words(result: KpiResult, voice: Voice) -> str:
    """How far a figure can be relied on: by its model's fit, or by how complete its measurement is."""
    family = "evidence" if result.model_id else "measured"
    return _known(family, result.evidence, voice)


def _known(family: str, word: str, voice: Voice) -> str:
    key = f"{family}.{word}"
    return voice.t(key) if voice.language.has(key) else word
