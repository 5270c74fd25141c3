"""InfluxDB line protocol from columns, without one Python object more per line than the join needs.

The schema is docs/influxdb.md. A line is glued from three cached or C-made pieces: the prefix of its series
and quality (measurement, sorted tags, constant fields), the value, the time. orjson writes whole columns of
floats at once: the shortest text that reads back as the same float64, and `null` for what is not finite,
which here becomes "no value". NaN and infinity therefore cannot reach a server.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from sync.outbox import Fact, IntervalRows, Parcel, SampleColumns, SeriesTags

FIRST_BAD = 32
"""Quality codes from here on carry no value (docs/nomenclature.md)."""

Tags = Callable[[NDArray[np.int32]], Sequence[SeriesTags]]

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_SEPARATOR = b"\0"


@dataclass(frozen=True, slots=True)
class Body:
    """Encoded lines, each ended by a newline, and how many there are."""

    data: bytes
    lines: int


def escape_key(text: str) -> str:
    """Escape a measurement's, tag's or field's name or a tag's value.

    Backslashes and control characters have no unambiguous form in line protocol and become `_`.
    """
    text = _UNSAFE.sub("_", text)
    return text.replace(",", "\\,").replace(" ", "\\ ").replace("=", "\\=")


def escape_measurement(text: str) -> str:
    """Like `escape_key`, but an equals sign needs no escape, and a leading `#` would make a comment."""
    return _UNSAFE.sub("_", re.sub("^#", "_", text)).replace(",", "\\,").replace(" ", "\\ ")


def escape_field(text: str) -> str:
    """Like `escape_key`; a quote in a field's name would open a string for some servers."""
    return escape_key(text).replace('"', "_")


def escape_string(text: str) -> str:
    """A field's string value in its quotes, on one line."""
    flat = " ".join(text.splitlines()) if not text.isprintable() else text
    return '"' + flat.replace("\\", "\\\\").replace('"', '\\"') + '"'


def series_key(measurement: str, tags: Iterable[tuple[str, str]]) -> str:
    """Measurement and tags, sorted by name; a tag without a value is left out, as servers refuse it."""
    parts = [escape_measurement(measurement)]
    parts += [f"{escape_key(name)}={escape_key(value)}" for name, value in sorted(tags) if value]
    return ",".join(parts)


class Encoder:
    """Turns parcels into bodies. Keeps escaped prefixes per series; call `forget` when tags may have changed.

    tags: the outbox's look-up from series ids to tags, asked once for each series.
    """

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._samples: dict[int, bytes] = {}
        self._intervals: dict[str, dict[int, bytes]] = {}

    def forget(self) -> None:
        """Drop the cached prefixes."""
        self._samples.clear()
        self._intervals.clear()

    def bodies(self, parcel: Parcel, max_lines: int) -> list[Body]:
        """Everything in the parcel, in bodies of at most `max_lines` lines."""
        chunks: list[Body] = []
        if parcel.samples is not None:
            chunks += [self.samples(part) for part in _sliced(parcel.samples, max_lines)]
        for rows in parcel.intervals:
            chunks += [self.intervals(part) for part in _sliced_rows(rows, max_lines)]
        for start in range(0, len(parcel.facts), max_lines):
            chunks.append(encode_facts(parcel.facts[start : start + max_lines]))
        return list(_packed(chunks, max_lines))

    def samples(self, columns: SampleColumns) -> Body:
        """One line per sample, in the order given: value and quality, or quality alone where it is bad."""
        n = len(columns.series)
        if n == 0:
            return Body(b"", 0)
        has_value = (columns.quality < FIRST_BAD) & np.isfinite(columns.value)
        values = columns.value if has_value.all() else np.where(has_value, columns.value, np.nan)
        keys = (columns.series.astype(np.int64) << 9) | (columns.quality.astype(np.int64) << 1) | has_value
        parts: list[bytes] = [b""] * (3 * n)
        parts[0::3] = _looked_up(self._samples, keys, self._sample_prefixes)
        parts[1::3] = _pieces(values, b"", b" ")
        parts[2::3] = _times(columns.time)
        return Body(b"".join(parts), n)

    def intervals(self, rows: IntervalRows) -> Body:
        """One line per interval that has any figure; a NaN figure is left out of its line."""
        names = list(rows.columns)
        present = np.array([np.isfinite(rows.columns[name]) for name in names], bool).reshape(len(names), -1)
        pattern = (present.T @ (1 << np.arange(len(names), dtype=np.int64))).astype(np.int64)
        bodies = []
        for shape in np.unique(pattern[pattern > 0]).tolist():
            chosen = np.flatnonzero(pattern == shape)
            fields = {name: rows.columns[name][chosen] for bit, name in enumerate(names) if shape >> bit & 1}
            bodies.append(self._same_shape(rows, chosen, fields))
        return Body(b"".join(bodies), int(np.count_nonzero(pattern)))

    def _same_shape(
        self, rows: IntervalRows, chosen: NDArray[np.intp], fields: Mapping[str, NDArray[np.float64]]
    ) -> bytes:
        cache = self._intervals.setdefault(rows.resolution, {})
        width = len(fields) + 2
        parts: list[bytes] = [b""] * (width * len(chosen))

        def make(keys: NDArray[np.int64]) -> list[bytes]:
            return self._interval_prefixes(keys, rows.resolution)

        parts[0::width] = _looked_up(cache, rows.series[chosen].astype(np.int64), make)
        for at, (name, column) in enumerate(fields.items(), start=1):
            before = f"{' ' if at == 1 else ','}{escape_field(name)}=".encode()
            parts[at::width] = _pieces(column, before, b" " if at == len(fields) else b"")
        parts[width - 1 :: width] = _times(rows.start[chosen])
        return b"".join(parts)

    def _sample_prefixes(self, keys: NDArray[np.int64]) -> list[bytes]:
        tags = self._tags((keys >> 9).astype(np.int32))
        return [
            f"{_series_of(tag, tag.quantity)} quality={key >> 1 & 255}{',value=' if key & 1 else ''}".encode()
            for key, tag in zip(keys.tolist(), tags, strict=True)
        ]

    def _interval_prefixes(self, series: NDArray[np.int64], resolution: str) -> list[bytes]:
        tags = self._tags(series.astype(np.int32))
        return [_series_of(tag, f"{tag.quantity}_{resolution}").encode() for tag in tags]


def encode_facts(facts: Sequence[Fact]) -> Body:
    """One line per fact that has any field; numbers as floats, None and what is not finite left out."""
    lines = [line for line in map(_fact_line, facts) if line]
    return Body("".join(lines).encode(), len(lines))


def _fact_line(fact: Fact) -> str:
    fields = [
        f"{escape_field(name)}={text}"
        for name, value in fact.fields.items()
        if (text := _field_value(value)) is not None
    ]
    if not fields:
        return ""
    return f"{series_key(fact.measurement, fact.tags)} {','.join(fields)} {fact.time}\n"


def _field_value(value: float | str | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return escape_string(value)
    number = float(value)
    return repr(number) if math.isfinite(number) else None


def _series_of(tags: SeriesTags, measurement: str) -> str:
    named = (("device", tags.device), ("point", tags.point), ("site", tags.site), ("unit", tags.unit))
    return series_key(measurement, named)


def _looked_up(
    cache: dict[int, bytes],
    keys: NDArray[np.int64],
    make: Callable[[NDArray[np.int64]], list[bytes]],
) -> list[bytes]:
    """The prefix of each key; those not yet in the cache are made together, once."""
    wanted = keys.tolist()
    try:
        return list(map(cache.__getitem__, wanted))
    except KeyError:
        unknown = [key for key in np.unique(keys).tolist() if key not in cache]
        cache.update(zip(unknown, make(np.array(unknown, np.int64)), strict=True))
        return list(map(cache.__getitem__, wanted))


def _pieces(column: NDArray[np.float64], before: bytes, after: bytes) -> list[bytes]:
    """Each value as text between `before` and `after`; a value that is not finite has no text."""
    text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    if b"null" in text:
        text = text.replace(b"null", b"")
    return (before + text.replace(b",", after + _SEPARATOR + before) + after).split(_SEPARATOR)


def _times(column: NDArray[np.int64]) -> list[bytes]:
    text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    return (text.replace(b",", b"\n" + _SEPARATOR) + b"\n").split(_SEPARATOR)


def _sliced(columns: SampleColumns, size: int) -> Iterator[SampleColumns]:
    for start in range(0, len(columns.series), size):
        part = slice(start, start + size)
        yield SampleColumns(
            columns.series[part], columns.time[part], columns.value[part], columns.quality[part]
        )


def _sliced_rows(rows: IntervalRows, size: int) -> Iterator[IntervalRows]:
    for start in range(0, len(rows.series), size):
        part = slice(start, start + size)
        columns = {name: column[part] for name, column in rows.columns.items()}
        yield IntervalRows(rows.resolution, rows.series[part], rows.start[part], columns)


def _packed(chunks: Iterable[Body], max_lines: int) -> Iterator[Body]:
    """Join small neighbours so that a parcel with a bit of everything costs one request."""
    held: list[Body] = []
    lines = 0
    for chunk in chunks:
        if held and lines + chunk.lines > max_lines:
            yield Body(b"".join(body.data for body in held), lines)
            held, lines = [], 0
        if chunk.lines:
            held.append(chunk)
            lines += chunk.lines
    if held:
        yield Body(b"".join(body.data for body in held), lines)
