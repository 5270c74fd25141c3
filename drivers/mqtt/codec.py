"""From payload bytes to numbers, by a program made once. Pure: no clock, no broker.

A payload is parsed once, however many points it carries. What is wrong is data: a quality and a reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite, nan

import orjson

from drivers.base import Quality

Step = str | int

_WORDS = {"true": 1.0, "on": 1.0, "false": 0.0, "off": 0.0}
_MISSING = object()
_EPOCH_TEXT = re.compile(r"\d{9,19}(\.\d+)?")
"""Digits of a time since 1970; fewer would be a date without dashes."""
_SHOWN = 60
_EARLIEST_NS = 946_684_800_000_000_000
"""2000-01-01: a sensor that claims less has lost its clock."""
_AHEAD_NS = 300 * 1_000_000_000
"""A sensor's clock may lead ours by this much."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a message. row: the point's place in the plan. path: None means the whole payload.

    Under a `Form`, paths and time stamps are one index: the place in a line or in a record.
    """

    row: int
    path: tuple[Step, ...] | None
    words: Mapping[str, float]
    timestamp: tuple[Step, ...] | None


Cut = Callable[[bytes], Sequence[Sequence[object]]]


@dataclass(frozen=True, slots=True)
class Form:
    """Fields of payloads that are no JSON. cut: payload to records of values, or ValueError with why not."""

    cut: Cut
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """What to take from the messages of one topic for one device."""

    fields: tuple[Field, ...]
    needs_json: bool
    forms: tuple[Form, ...] = ()


@dataclass(slots=True)
class Rows:
    """Decoded values, column by column: plan row, raw number, UTC ns, quality.

    reasons: why the newest value of a row is bad. A run of bad values is told once, so that a flood of
    rubbish cannot become a flood of samples.
    """

    row: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)

    def add(self, row: int, value: float, time: int, quality: int) -> None:
        self._append(row, value, time, quality)
        self.reasons.pop(row, None)

    def add_bad(self, row: int, time: int, quality: Quality, reason: str) -> None:
        if row not in self.reasons:
            self._append(row, nan, time, quality)
        self.reasons[row] = reason

    def _append(self, row: int, value: float, time: int, quality: int) -> None:
        self.row.append(row)
        self.value.append(value)
        self.time.append(time)
        self.quality.append(quality)


def decode(program: Program, payload: bytes, arrived_ns: int, retained: bool, rows: Rows) -> bool:
    """Append the message's values to `rows`; False when the payload as a whole cannot be read.

    A key that is absent adds nothing: devices send what changed. A retained message without a time of its own
    may be of any age, so its values are `held`.
    """
    good = Quality.HELD if retained else Quality.GOOD
    whole = True
    for form in program.forms:
        whole &= _decode_form(form, payload, arrived_ns, good, rows)
    document: object = None
    if program.needs_json:
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError:
            _refuse_all(program.fields, arrived_ns, f"payload is no JSON: {_shown(payload)}", rows)
            return False
    _take_all(program.fields, document, payload, arrived_ns, good, rows)
    return whole


def _decode_form(form: Form, payload: bytes, arrived_ns: int, good: Quality, rows: Rows) -> bool:
    try:
        records = form.cut(payload)
    except ValueError as error:
        _refuse_all(form.fields, arrived_ns, f"{error}: {_shown(payload)}", rows)
        return False
    for record in records:
        _take_all(form.fields, record, payload, arrived_ns, good, rows)
    return True


def _take_all(
    fields: tuple[Field, ...], document: object, payload: bytes, arrived_ns: int, good: Quality, rows: Rows
) -> None:
    for wanted in fields:
        found = payload if wanted.path is None else walk(document, wanted.path)
        if found is _MISSING:
            continue
        time, quality = arrived_ns, good
        if wanted.timestamp is not None:
            time, quality = stamp(walk(document, wanted.timestamp), arrived_ns, good)
        take(wanted, found, time, quality, rows)


def refuse(program: Program, arrived_ns: int, reason: str, rows: Rows) -> None:
    """Mark every point of the program bad for one reason."""
    _refuse_all(program.fields, arrived_ns, reason, rows)
    for form in program.forms:
        _refuse_all(form.fields, arrived_ns, reason, rows)


def _refuse_all(fields: tuple[Field, ...], arrived_ns: int, reason: str, rows: Rows) -> None:
    for wanted in fields:
        rows.add_bad(wanted.row, arrived_ns, Quality.BAD_VALUE, reason)


def walk(document: object, path: tuple[Step, ...]) -> object:
    """What lies at the path, or `_MISSING`."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(document, dict):
                return _MISSING
            document = document.get(step, _MISSING)
        elif isinstance(document, list | tuple) and step < len(document):
            document = document[step]
        else:
            return _MISSING
    return document


def to_time(found: object) -> int | None:
    """UTC ns of a time in a payload, or None when it is no time.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size, which
    is unambiguous from 1973 to 5138. Text is such a number or ISO 8601; without an offset it is UTC.
    """
    if isinstance(found, bool):
        return None
    if isinstance(found, int | float):
        if not isfinite(found) or found <= 0:
            return None
        scale = next((s for limit, s in ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3)) if found < limit), 1)
        return int(found) * scale if isinstance(found, int) else round(found * scale)
    if isinstance(found, str):
        if _EPOCH_TEXT.fullmatch(found):
            return to_time(float(found) if "." in found else int(found))
        try:
            moment = datetime.fromisoformat(found)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    return None


def stamp(found: object, arrived_ns: int, good: Quality) -> tuple[int, Quality]:
    """The sender's time if it can be true; a wrong one is replaced by arrival and flagged."""
    if found is _MISSING:
        return arrived_ns, good
    time = to_time(found)
    if time is None or not _EARLIEST_NS <= time <= arrived_ns + _AHEAD_NS:
        return arrived_ns, Quality.CLOCK_SUSPECT
    return time, Quality.GOOD


def take(wanted: Field, found: object, time: int, quality: Quality, rows: Rows) -> None:
    """Append one value as a number, or why it is none."""
    if isinstance(found, bytes):
        found = found.decode("utf-8", "replace").strip()
    if isinstance(found, bool | int | float):
        number = _finite(float(found) if abs(found) < 1e308 else nan)
    elif isinstance(found, str):
        number = _number(found, wanted.words)
    elif found is None:
        rows.add_bad(wanted.row, time, Quality.NOT_AVAILABLE, "the device sent null")
        return
    else:
        number = None
    if number is None:
        rows.add_bad(wanted.row, time, Quality.BAD_VALUE, f"no number: {_shown(found)}")
    else:
        rows.add(wanted.row, number, time, quality)


def _number(text: str, words: Mapping[str, float]) -> float | None:
    word = words.get(text.lower())
    if word is None:
        word = _WORDS.get(text.lower())
    if word is not None:
        return word
    try:
        return _finite(float(text))
    except ValueError:
        return None


def _finite(number: float) -> float | None:
    return number if isfinite(number) else None


def _shown(found: object) -> str:
    """The beginning of what came, fit for a log line."""
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    text = "".join(c if c.isprintable() else "?" for c in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
