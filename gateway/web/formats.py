"""Numbers, times and durations as people write them. Pure: everything needed comes in as an argument.

`fr` writes 1 234,5 with a narrow no-break space, `en` writes 1,234.5; a unit follows after a no-break
space in both. Times are shown in the site's zone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.clock import SECOND_NS

Lang = Literal["en", "fr"]

NBSP = "\u00a0"
NARROW_NBSP = "\u202f"
MINUS = "\u2212"
DASH = "–"

_GROUP: Mapping[Lang, str] = MappingProxyType({"en": ",", "fr": NARROW_NBSP})
_POINT: Mapping[Lang, str] = MappingProxyType({"en": ".", "fr": ","})
_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "1": "",
        "degC": "°C",
        "m3": "m³",
        "m3/h": "m³/h",
        "kWh/m2": "kWh/m²",
        "kgCO2e": "kg CO₂e",
        "EUR": "€",
        "lx": "lx",
    }
)
_MONTHS: Mapping[Lang, str] = MappingProxyType(
    {
        "en": "January February March April May June July August September October November December",
        "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    }
)
_SHORT_MONTHS: Mapping[Lang, str] = MappingProxyType(
    {
        "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
        "fr": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    }
)
_DURATIONS: Mapping[Lang, tuple[str, str, str, str, str]] = MappingProxyType(
    {"en": ("s", "min", "h", "day", "days"), "fr": ("s", "min", "h", "jour", "jours")}
)
_BYTES: Mapping[Lang, tuple[str, ...]] = MappingProxyType(
    {"en": ("B", "kB", "MB", "GB", "TB"), "fr": ("o", "ko", "Mo", "Go", "To")}
)


def unit_text(unit: str) -> str:
    """The unit as printed: degC -> °C, m3 -> m³; a bare ratio or state ('1') prints nothing."""
    return _UNITS.get(unit, unit)


def grouped(value: float, decimals: int, lang: Lang) -> str:
    """`value` with a fixed number of decimals, thousands grouped, minus as a true minus sign."""
    text = f"{abs(value):,.{decimals}f}"
    negative = value < 0 and any(digit in "123456789" for digit in text)
    text = text.replace(",", "_").replace(".", _POINT[lang]).replace("_", _GROUP[lang])
    return f"{MINUS}{text}" if negative else text


def number(value: float | None, lang: Lang, *, digits: int = 3, trim: bool = False) -> str:
    """`digits` significant digits, but never fewer than the whole part has. None and NaN are a dash.

    trim drops trailing zeros behind the decimal point: a target of 20, not 20.0.
    """
    if value is None or not math.isfinite(value):
        return DASH
    text = grouped(value, _decimals(value, digits), lang)
    if trim and _POINT[lang] in text:
        text = text.rstrip("0").rstrip(_POINT[lang])
    return text


def _decimals(value: float, digits: int) -> int:
    if value == 0:
        return 0
    exact = Decimal(repr(float(value)))
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), rounding=ROUND_HALF_EVEN)
    return min(9, max(0, digits - 1 - rounded.adjusted())) if rounded else 0


def quantity(value: float | None, unit: str, lang: Lang, *, digits: int = 3, trim: bool = False) -> str:
    """A number and its unit, held together."""
    text, printed = number(value, lang, digits=digits, trim=trim), unit_text(unit)
    return f"{text}{NBSP}{printed}" if printed and text != DASH else text


def share(value: float, lang: Lang) -> str:
    """A share [%] that is never rounded up to a full 100 %: 99.996 is 99.99 %, for 100 % is a promise."""
    if 99.0 <= value < 100.0:
        value = math.floor(value * 100) / 100
        return quantity(value, "%", lang, digits=4, trim=True)
    return quantity(value, "%", lang, trim=True)


def about(count: float, lang: Lang) -> str:
    """A large count to three significant digits: 184 213 -> 184,000."""
    if count < 1000:
        return grouped(round(count), 0, lang)
    scale = 10 ** (int(math.log10(count)) - 2)
    return grouped(round(count / scale) * scale, 0, lang)


def count(value: float, lang: Lang) -> str:
    """A whole number, exact and grouped."""
    return grouped(round(value), 0, lang)


def size(n_bytes: float, lang: Lang) -> str:
    """Bytes in decimal multiples, three significant digits: 12.3 MB."""
    units = _BYTES[lang]
    step = 0
    while abs(n_bytes) >= 999.5 and step < len(units) - 1:
        n_bytes /= 1000
        step += 1
    return f"{number(n_bytes, lang, trim=step == 0)}{NBSP}{units[step]}"


def duration(seconds: float, lang: Lang) -> str:
    """The largest whole unit that says it: 25 s, 25 min, 3 h, 31 days."""
    s, minute, hour, day, days = _DURATIONS[lang]
    seconds = max(0.0, seconds)
    if seconds < 59.5:
        return f"{round(seconds)}{NBSP}{s}"
    if seconds < 89.5 * 60:
        return f"{round(seconds / 60)}{NBSP}{minute}"
    if seconds < 35.5 * 3600:
        return f"{round(seconds / 3600)}{NBSP}{hour}"
    n = round(seconds / 86400)
    return f"{count(n, lang)}{NBSP}{day if n == 1 else days}"


def local(ns: int, zone: ZoneInfo) -> datetime:
    """UTC ns as the site's local time, whole seconds."""
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).astimezone(zone)


def _month(names: Mapping[Lang, str], at: datetime, lang: Lang) -> str:
    return names[lang].split()[at.month - 1]


def moment(ns: int, now_ns: int, zone: ZoneInfo, lang: Lang, *, seconds: bool = False) -> str:
    """A time as short as it can be understood: 09:40 today, 21 Nov 09:40 otherwise, the year if not this."""
    at, now = local(ns, zone), local(now_ns, zone)
    clock = f"{at:%H:%M:%S}" if seconds else f"{at:%H:%M}"
    if at.date() == now.date():
        return clock
    day = f"{at.day} {_month(_SHORT_MONTHS, at, lang)}"
    return f"{day} {clock}" if at.year == now.year else f"{day} {at.year} {clock}"


def iso(ns: int) -> str:
    """UTC ns as ISO 8601 with seconds, for `datetime` attributes and the API's people."""
    return f"{datetime.fromtimestamp(ns // SECOND_NS, UTC):%Y-%m-%dT%H:%M:%SZ}"


def period(start_ns: int, cadence: str, zone: ZoneInfo, lang: Lang) -> str:
    """What a KPI's period is called: November 2026, 16 Nov 2026 (a week's or day's first day), Q4 2026."""
    start = local(start_ns, zone)
    if cadence == "monthly":
        return f"{_month(_MONTHS, start, lang)} {start.year}"
    if cadence == "quarterly":
        quarter = (start.month - 1) // 3 + 1
        return f"T{quarter} {start.year}" if lang == "fr" else f"Q{quarter} {start.year}"
    if cadence == "yearly":
        return str(start.year)
    return f"{start.day} {_month(_SHORT_MONTHS, start, lang)} {start.year}"


def short_period(start_ns: int, cadence: str, zone: ZoneInfo, lang: Lang) -> str:
    """The same for an axis: Nov, 16 Nov."""
    start = local(start_ns, zone)
    month = _month(_SHORT_MONTHS, start, lang)
    return month if cadence == "monthly" else f"{start.day} {month}"
