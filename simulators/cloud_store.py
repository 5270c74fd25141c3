"""Where the simulated cloud keeps its points: one SQLite file, committed before anything is acknowledged."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulators.influxql import Select
from simulators.line_protocol import Field, Line, MalformedLine, parse_fields, parse_key

INTERVAL_SUFFIXES = ("_1m", "_15m", "_1h", "_1d")
FACT_MEASUREMENTS = ("kpi", "event", "gateway")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, measurement TEXT NOT NULL, tags TEXT NOT NULL, UNIQUE (measurement, tags));
CREATE TABLE IF NOT EXISTS points (
    series INTEGER NOT NULL, time INTEGER NOT NULL, fields BLOB NOT NULL,
    PRIMARY KEY (series, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""

_INSERT = "INSERT OR IGNORE INTO points VALUES (?, ?, ?)"
_MERGE = (
    "INSERT INTO points VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET fields = merged_fields(fields, excluded.fields)"
)
_COUNT = "INSERT INTO tally VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value"


def kind_of(measurement: str) -> str:
    """'facts', 'intervals' or 'samples', by the gateway's schema."""
    if measurement in FACT_MEASUREMENTS:
        return "facts"
    return "intervals" if measurement.endswith(INTERVAL_SUFFIXES) else "samples"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one group of a query: time first, then the columns asked for."""

    name: str
    tags: dict[str, str]
    columns: tuple[str, ...]
    values: list[list[Field | None]]


@dataclass(slots=True)
class _Series:
    id: int
    measurement: str
    tags: dict[str, str] = field(default_factory=dict)


class PointStore:
    """Points by series and time; the fields of a point written twice are merged, the newer value wins.

    For one thread at a time. Opening it where another process died loses nothing that was committed.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.create_function("merged_fields", 2, _merged_fields, deterministic=True)
        self._db.executescript(_SCHEMA)
        self._by_key: dict[bytes, _Series] = {}
        self._by_name: dict[tuple[str, str], _Series] = {}
        for row_id, measurement, tags in self._db.execute("SELECT id, measurement, tags FROM series"):
            self._by_name[measurement, tags] = _Series(row_id, measurement, json.loads(tags))
        self._unique = self._count_points()
        self._tally: dict[str, int] = defaultdict(int, self._db.execute("SELECT name, value FROM tally"))

    def close(self) -> None:
        self._db.close()

    def write(self, lines: Sequence[Line]) -> list[str]:
        """Commit the lines in one transaction; complaints about those whose series has no proper name."""
        complaints: list[str] = []
        groups: dict[str, list[tuple[int, int, bytes]]] = defaultdict(list)
        new: dict[str, int] = {}
        tally = {"lines_total": len(lines)}
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for line in lines:
                try:
                    series = self._by_key.get(line.key) or self._register(line.key)
                except MalformedLine as error:
                    complaints.append(f"unable to parse '{line.key.decode(errors='replace')}': {error}")
                    continue
                groups[series.measurement].append((series.id, line.time, line.fields))
            for measurement, rows in groups.items():
                new[measurement] = self._insert(rows)
                if new[measurement] < len(rows):
                    name = f"{kind_of(measurement)}_overwritten"
                    tally[name] = tally.get(name, 0) + len(rows) - new[measurement]
            self._db.executemany(_COUNT, tally.items())
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            self._forget_unsaved()
            raise
        for measurement, count in new.items():
            self._unique[measurement] += count
        for name, count in tally.items():
            self._tally[name] += count
        return complaints

    def stats(self) -> dict[str, object]:
        """Unique points by kind and measurement, rewrites of raw samples, lines in all."""
        totals = {"samples": 0, "intervals": 0, "facts": 0}
        for measurement, count in self._unique.items():
            totals[kind_of(measurement)] += count
        return {
            **totals,
            "samples_overwritten": self._tally["samples_overwritten"],
            "lines_total": self._tally["lines_total"],
            "by_measurement": dict(sorted(self._unique.items())),
        }

    def measurements(self) -> list[str]:
        return sorted(name for name, count in self._unique.items() if count)

    def select(self, query: Select) -> list[Table]:
        """Run a query; one table per group, none where nothing matches."""
        groups: dict[tuple[tuple[str, str], ...], list[_Series]] = defaultdict(list)
        for series in self._by_name.values():
            if series.measurement == query.measurement and query.wants(series.tags):
                names = series.tags if query.group_by == ("*",) else query.group_by
                groups[tuple((name, series.tags.get(name, "")) for name in sorted(names))].append(series)
        tables = [self._table(query, dict(tags), members) for tags, members in sorted(groups.items())]
        return [table for table in tables if table.values]

    def _table(self, query: Select, tags: dict[str, str], members: Sequence[_Series]) -> Table:
        points: list[tuple[int, dict[str, Field]]] = []
        for series in members:
            rows = self._db.execute(
                "SELECT time, fields FROM points WHERE series = ? AND time BETWEEN ? AND ?",
                (series.id, query.start, query.end),
            )
            points += [(time, parse_fields(fields)) for time, fields in rows]
        points.sort(key=lambda point: point[0])
        columns, values = query.evaluate(points)
        return Table(query.measurement, tags, columns, values)

    def _insert(self, rows: list[tuple[int, int, bytes]]) -> int:
        """Store rows of one measurement; how many of them were new."""
        new = self._db.executemany(_INSERT, rows).rowcount
        if new < len(rows):
            self._db.executemany(_MERGE, rows)
        return new

    def _register(self, key: bytes) -> _Series:
        """The series of a key as it was sent; the order of its tags does not matter."""
        named = parse_key(key)
        tags = json.dumps(dict(sorted(named.tags.items())))
        series = self._by_name.get((named.measurement, tags))
        if series is None:
            row = self._db.execute(
                "INSERT INTO series (measurement, tags) VALUES (?, ?) RETURNING id", (named.measurement, tags)
            ).fetchone()
            series = _Series(row[0], named.measurement, dict(named.tags))
            self._by_name[named.measurement, tags] = series
        self._by_key[key] = series
        return series

    def _forget_unsaved(self) -> None:
        saved = {row[0] for row in self._db.execute("SELECT id FROM series")}
        self._by_name = {name: series for name, series in self._by_name.items() if series.id in saved}
        self._by_key = {key: series for key, series in self._by_key.items() if series.id in saved}

    def _count_points(self) -> dict[str, int]:
        rows: Iterable[tuple[str, int]] = self._db.execute(
            "SELECT measurement, count(*) FROM points JOIN series ON series.id = points.series GROUP BY 1"
        )
        return defaultdict(int, rows)


def _merged_fields(old: bytes, new: bytes) -> bytes:
    """The fields of both, those of `new` winning, as line protocol again."""
    if old == new:
        return old
    kept = _raw_fields(old) | _raw_fields(new)
    return b",".join(name + b"=" + value for name, value in kept.items())


def _raw_fields(text: bytes) -> dict[bytes, bytes]:
    """Fields by name, values as they were written."""
    if b'"' not in text:
        return dict(part.rsplit(b"=", 1) for part in text.split(b","))
    out: dict[bytes, bytes] = {}
    for name, value in parse_fields(text).items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
        out[name.encode()] = shown.encode()
    return out
