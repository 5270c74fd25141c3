"""The little of InfluxQL that counting and reading back need."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from simulators.line_protocol import SCALE, Field

FAR_PAST = -(2**63)
FAR_FUTURE = 2**63 - 1

Points = Sequence[tuple[int, Mapping[str, Field]]]
"""(time ns, fields), in the order of time."""

_SELECT = re.compile(
    r"select\s+(?P<what>.+?)\s+from\s+(?P<measurement>\"(?:[^\"\\]|\\.)+\"|[\w.]+)"
    r"(?:\s+where\s+(?P<where>.+?))?(?:\s+group\s+by\s+(?P<group>.+?))?"
    r"(?:\s+order\s+by\s+time\s+(?P<order>asc|desc))?(?:\s+limit\s+(?P<limit>\d+))?\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"(\"[^\"]+\"|\w+)\s*(=|!=|<>|<=|>=|<|>)\s*('(?:[^'\\]|\\.)*'|[-\w.]+)")
_COLUMN = re.compile(r"(?:(?P<function>\w+)\s*\(\s*)?(?P<name>\*|\"[^\"]+\"|\w+)\s*\)?")


class QueryError(ValueError):
    """A query outside the subset; the message goes to the client."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field, or a function over it."""

    name: str
    function: str = ""


@dataclass(frozen=True, slots=True)
class Select:
    """One parsed SELECT. start, end: inclusive, UTC ns. tags: (name, wanted?, value) conditions."""

    measurement: str
    columns: tuple[Column, ...]
    start: int = FAR_PAST
    end: int = FAR_FUTURE
    tags: tuple[tuple[str, bool, str], ...] = ()
    group_by: tuple[str, ...] = ()
    descending: bool = False
    limit: int | None = field(default=None)

    def wants(self, tags: Mapping[str, str]) -> bool:
        return all((tags.get(name, "") == value) is wanted for name, wanted, value in self.tags)

    def evaluate(self, points: Points) -> tuple[tuple[str, ...], list[list[Field | None]]]:
        """Column names and rows, time first."""
        if any(column.function for column in self.columns):
            return self._aggregate(points)
        names = sorted({name for _, fields in points for name in fields})
        wanted = [
            name for column in self.columns for name in (names if column.name == "*" else [column.name])
        ]
        rows: list[list[Field | None]] = [
            [time, *(fields.get(name) for name in wanted)]
            for time, fields in points
            if any(name in fields for name in wanted)
        ]
        if self.descending:
            rows.reverse()
        return ("time", *wanted), rows[: self.limit]

    def _aggregate(self, points: Points) -> tuple[tuple[str, ...], list[list[Field | None]]]:
        names = sorted({name for _, fields in points for name in fields})
        titles, row = ["time"], [max(self.start, 0)]
        results: list[Field | None] = list(row)
        for column in self.columns:
            for name in names if column.name == "*" else [column.name]:
                titles.append(f"{column.function}_{name}" if column.name == "*" else column.function)
                values = [fields[name] for _, fields in points if name in fields]
                results.append(_FUNCTIONS[column.function](values) if values else None)
        found = any(value is not None for value in results[1:])
        return tuple(titles), [results] if found else []


def _numbers(values: Sequence[Field]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float)]


def _mean(values: Sequence[Field]) -> float | None:
    numbers = _numbers(values)
    return sum(numbers) / len(numbers) if numbers else None


_FUNCTIONS: dict[str, Callable[[Sequence[Field]], Field | None]] = {
    "count": len,
    "sum": lambda values: sum(_numbers(values)),
    "min": lambda values: min(_numbers(values), default=None),
    "max": lambda values: max(_numbers(values), default=None),
    "mean": _mean,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}


def parse(text: str) -> Select:
    """Parse a SELECT; raises QueryError for what the subset has not."""
    found = _SELECT.fullmatch(text.strip())
    if found is None:
        raise QueryError(f"error parsing query: unsupported statement: {text.strip()[:80]}")
    start, end, tags = _conditions(found["where"] or "")
    group = tuple(_name(part) for part in (found["group"] or "").split(",") if part.strip())
    return Select(
        measurement=_name(found["measurement"]),
        columns=tuple(_column(part) for part in found["what"].split(",")),
        start=start,
        end=end,
        tags=tags,
        group_by=group,
        descending=(found["order"] or "").lower() == "desc",
        limit=int(found["limit"]) if found["limit"] else None,
    )


def _column(text: str) -> Column:
    found = _COLUMN.fullmatch(text.strip())
    function = (found["function"] or "").lower() if found else ""
    if found is None or (function and function not in _FUNCTIONS):
        raise QueryError(f"error parsing query: unsupported column: {text.strip()}")
    return Column(_name(found["name"]), function)


def _conditions(text: str) -> tuple[int, int, tuple[tuple[str, bool, str], ...]]:
    start, end = FAR_PAST, FAR_FUTURE
    tags: list[tuple[str, bool, str]] = []
    for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE) if text.strip() else []:
        found = _CONDITION.fullmatch(part.strip())
        if found is None:
            raise QueryError(f"error parsing query: unsupported condition: {part.strip()}")
        name, operator, literal = _name(found[1]), found[2], found[3]
        if name.lower() == "time":
            moment = _moment(literal)
            if operator in (">", ">=", "="):
                start = max(start, moment + (operator == ">"))
            if operator in ("<", "<=", "="):
                end = min(end, moment - (operator == "<"))
        elif operator in ("=", "!=", "<>") and literal.startswith("'"):
            tags.append((name, operator == "=", re.sub(r"\\(.)", r"\1", literal[1:-1])))
        else:
            raise QueryError(f"error parsing query: unsupported condition: {part.strip()}")
    return start, end, tuple(tags)


def _moment(literal: str) -> int:
    """A time literal as UTC ns: '2026-01-01T00:00:00Z', 1767225600s, or plain nanoseconds."""
    if literal.startswith("'"):
        at = datetime.fromisoformat(literal[1:-1].replace("Z", "+00:00"))
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1_000
    found = re.fullmatch(r"(-?\d+)(ns|us|u|ms|s)?", literal)
    if found is None:
        raise QueryError(f"error parsing query: unsupported time: {literal}")
    return int(found[1]) * SCALE[found[2] or "ns"]


def _name(text: str) -> str:
    text = text.strip()
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
