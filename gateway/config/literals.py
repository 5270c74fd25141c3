"""Durations, sizes and moduli as people write them. A number without its unit is refused, not guessed."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS = {
    "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 366 * 86400.0,
}  # fmt: skip
_BYTES = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_POWER = re.compile(r"\s*(2|10)\s*(?:\^|\*\*)\s*(\d{1,2})\s*")


def parse_duration(value: Any) -> float:
    """Seconds of '250ms', '10s', '15min', '2h', '90d', '1w' or '5y' (of 366 days: never too short)."""
    return _scaled(value, _SECONDS, "duration", "10s, 250ms, 15min, 2h, 90d")


def parse_size(value: Any) -> int:
    """Bytes of '4GiB', '500MB', ..."""
    return round(_scaled(value, _BYTES, "size", "4GiB, 500MiB"))


def parse_modulus(value: Any) -> float:
    """The number of counts after which a counter starts again: '2^32', '10^8' or a plain number."""
    if isinstance(value, str) and (match := _POWER.fullmatch(value)):
        return float(int(match[1]) ** int(match[2]))
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise ValueError(f"modulus '{value}' is not understood; write 2^32, 10^8 or a positive number of counts")


def _scaled(value: Any, units: dict[str, Any], what: str, examples: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{what} '{value}' has no unit; write it with one, such as {examples}")
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError(f"'{value}' is no {what}; write it like {examples}")
    if match[2] not in units:
        unit = (
            f"unit '{match[2]}' of {what} '{value}' is unknown"
            if match[2]
            else f"{what} '{value}' has no unit"
        )
        raise ValueError(f"{unit}; write it like {examples}")
    return float(match[1]) * float(units[match[2]])


def _positive(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("a duration of zero; write at least 1ms")
    return seconds


Duration = Annotated[
    float,
    BeforeValidator(_positive),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|min|h|d|w|y)$", "examples": ["10s"]}),
]
"""Seconds, written with a unit, above zero."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {"type": "string", "pattern": r"^\d+(\.\d+)?\s*([kMGT]?B|[KMGT]iB)$", "examples": ["4GiB"]}
    ),
]
"""Bytes, written with a unit."""

Modulus = Annotated[
    float,
    BeforeValidator(parse_modulus),
    WithJsonSchema({"type": ["string", "number"], "examples": ["2^32", "10^8"]}),
]
"""Counts after which a counter starts again."""
