"""A KPI result's details in words: labels from the locale, units from the names' own endings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gateway.records import KpiResult
from gateway.web import formats
from gateway.web.words import Voice

FRACTIONS = frozenset(
    {"cv_rmse", "nmbe", "cross_check_cv_rmse", "factor_coverage", "placebo_low", "placebo_high"}
)
"""Details that are fractions and are read as percent."""

_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "percent": "%",
        "kwh": "kWh",
        "kw": "kW",
        "kg": "kgCO2e",
        "m3": "m3",
        "m2": "m²",
        "h": "h",
    }
)
"""Last word of a detail's name -> its unit."""
_TEMPERATURES = frozenset({"balance_h", "balance_c"})


def detail_rows(result: KpiResult, voice: Voice) -> list[tuple[str, str]]:
    """(label, value) of each detail, in the order in which the KPI gives them."""
    return [
        (detail_label(key, voice), detail_value(key, value, voice)) for key, value in result.details.items()
    ]


def detail_label(key: str, voice: Voice) -> str:
    """The label of a detail; one without a label yet is its own name, readable."""
    text_key = f"detail.{key}"
    return voice.t(text_key) if voice.language.has(text_key) else key.replace("_", " ")


def detail_value(key: str, value: float | str, voice: Voice) -> str:
    """A detail's value with the unit that its name implies."""
    ending = key.rsplit("_", 1)[-1]
    if ending == "ns":
        return voice.moment(int(value))
    if isinstance(value, str):
        word = f"word.{value}"
        return voice.t(word) if voice.language.has(word) else value
    if key in FRACTIONS:
        return voice.percent(100.0 * value)
    if key in _TEMPERATURES:
        return formats.quantity(value, "degC", voice.lang)
    if ending == "s":
        return formats.duration(value, voice.lang)
    if value.is_integer() and ending not in _UNITS:
        return formats.count(value, voice.lang)
    return formats.quantity(value, _UNITS.get(ending, ""), voice.lang)
