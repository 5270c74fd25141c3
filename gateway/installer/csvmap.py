"""Device maps as tables: one row a point, as spreadsheets have it.

The columns `device` and `device.KEY` say of what device a row is; other columns are the point's keys. A
device's own keys stand in its first row, and need not be repeated. Written with ';', because a spreadsheet
in half of Europe takes ',' for the decimal sign; read with ';', ',' or tabs, decimal points or commas.
A text that a spreadsheet would take for a formula gets an apostrophe in front, which is taken off again.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from drivers.registry import KINDS
from gateway.config.errors import suggest
from gateway.config.schema import DeviceSection, PointSection, key_names
from gateway.installer.devicemap import MapDevice, MapPoint

DROP: Final = "drop"
_FORMULA: Final = ("=", "+", "-", "@", "'", "\t", "\r")
_NUMBER: Final = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_TEXTS: Final = frozenset(
    {
        "description", "unit", "quantity", "kind", "type", "order", "table", "object", "property", "topic",
        "json",
        "payload", "template", "link", "driver", "host", "timestamp", "every", "heartbeat",
    }
)  # fmt: skip
"""Keys whose cells are texts whatever they look like; elsewhere a cell may be a number, a truth or JSON."""


@dataclass(frozen=True, slots=True)
class CellProblem:
    """What is wrong in a table, and where."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class TableError(Exception):
    """The table cannot be used; `.problems` lists all that is wrong with it."""

    def __init__(self, problems: Sequence[CellProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def to_csv(devices: Iterable[MapDevice], *, decimal_comma: bool = False) -> str:
    """The table of a device map. Candidates and comments are left out: they are for the file's reader."""
    maps = list(devices)
    own = _columns(device.keys for device in maps)
    keys = _columns(point.keys for device in maps for point in device.points)
    drops = [DROP] if any(point.dropped for device in maps for point in device.points) else []
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerow(["device", *(f"device.{key}" for key in own), "point", *keys, *drops])
    for device in maps:
        first = [_cell(key, device.keys.get(key), decimal_comma) for key in own]
        for row, point in enumerate(device.points or [None]):
            mine = [_cell(key, point.keys.get(key) if point else None, decimal_comma) for key in keys]
            dropped = ["yes" if point and point.dropped else ""] if drops else []
            named = point.name if point else ""
            writer.writerow([device.name, *(first if row == 0 else [""] * len(own)), named, *mine, *dropped])
    return out.getvalue()


def from_csv(raw: bytes, file: str) -> list[MapDevice]:
    """The devices of a table. Raises TableError with every problem."""
    table = read_table(raw)
    reading = _Reading(file, table.comma)
    if not table.rows or not table.rows[0][1]:
        raise TableError([CellProblem(file, 1, "the table is empty; its first line names the columns")])
    header = [name.strip() for name in table.rows[0][1]]
    reading.check_header(header)
    if not reading.problems:
        for line, cells in table.rows[1:]:
            reading.row(line, header, cells)
    if reading.problems:
        raise TableError(reading.problems)
    return reading.devices()


@dataclass(frozen=True, slots=True)
class Table:
    """Lines with their numbers in the file. comma: numbers may have a decimal comma."""

    rows: list[tuple[int, list[str]]]
    comma: bool


def read_table(raw: bytes, header: str | None = None) -> Table:
    """Cells of a CSV file in UTF-8 (with or without BOM) or Windows-1252, whichever separator it has.

    header: text in the line that shows the separator; by default the first line does.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    lines = text.splitlines() or [""]
    telling = next((line for line in lines if header and header in line.lower()), lines[0])
    separator = max(";\t,", key=telling.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: list[tuple[int, list[str]]] = []
    before = 0
    for cells in reader:
        if any(cell.strip() for cell in cells):
            rows.append((before + 1, cells))
        before = reader.line_num
    return Table(rows, separator != ",")


@dataclass(slots=True)
class _Building:
    line: int
    keys: dict[str, Any] = field(default_factory=dict)
    points: dict[str, MapPoint] = field(default_factory=dict)


class _Reading:
    """A table on its way to devices, with what is wrong with it."""

    def __init__(self, file: str, comma: bool) -> None:
        self._file = file
        self._comma = comma
        self.problems: list[CellProblem] = []
        self._found: dict[str, _Building] = {}

    def check_header(self, header: Sequence[str]) -> None:
        known = known_columns()
        for name in header:
            if name and name not in known:
                self._note(1, f"column '{name}' is unknown; {suggest(name, known) or 'remove it'}")
        for name in {name for name in header if name and header.count(name) > 1}:
            self._note(1, f"column '{name}' appears twice; remove one of the two")
        if "device" not in header:
            self._note(1, "there is no column 'device'; add it, with the device's name in every row")

    def row(self, line: int, header: Sequence[str], cells: Sequence[str]) -> None:
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            self._note(line, f"{len(cells)} cells below {len(header)} columns; quote cells with a separator")
            return
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name and cell.strip()}
        name = row.pop("device", "")
        if not name:
            self._note(line, "no device is named in this row; write its name in column 'device'")
            return
        device = self._found.setdefault(name, _Building(line))
        for key in [key for key in row if key.startswith("device.")]:
            self._device_key(line, name, device, key.removeprefix("device."), row.pop(key))
        point = row.pop("point", "")
        drop = row.pop(DROP, "").lower() in ("yes", "true", "1", "x", "oui", "ja")
        if point:
            self._point(line, name, device, point, row, drop)
        elif row:
            self._note(line, f"device {name}: a row with {', '.join(row)} names no point")

    def _device_key(self, line: int, name: str, device: _Building, key: str, text: str) -> None:
        value = self._value(line, key, text)
        if device.keys.setdefault(key, value) != value:
            self._note(
                line, f"device {name}: {key} is {device.keys[key]!r} in line {device.line}, here {text}"
            )

    def _point(
        self, line: int, name: str, device: _Building, point: str, row: Mapping[str, str], drop: bool
    ) -> None:
        if point in device.points:
            self._note(line, f"point {name}/{point} appears twice; rename or remove one of the two")
            return
        keys = {key: self._value(line, key, text) for key, text in row.items()}
        device.points[point] = MapPoint(point, {} if drop else keys, dropped=drop)

    def _value(self, line: int, key: str, text: str) -> Any:
        plain = text[1:] if text[:1] == "'" and text[1:2] in _FORMULA else text
        if key in _TEXTS:
            return plain
        if plain[:1] in "{[":
            try:
                return json.loads(plain)
            except ValueError as error:
                self._note(line, f"{key}: {plain} is no JSON: {error}")
                return None
        if plain.lower() in ("true", "false"):
            return plain.lower() == "true"
        number = plain.replace(",", ".") if self._comma and plain.count(",") == 1 else plain
        number = number.replace("\u00a0", "").replace("\u202f", "")
        if _NUMBER.fullmatch(number):
            return int(number) if re.fullmatch(r"[+-]?\d+", number) else float(number)
        return plain

    def _note(self, line: int, message: str) -> None:
        self.problems.append(CellProblem(self._file, line, message))

    def devices(self) -> list[MapDevice]:
        return [
            MapDevice(name, device.keys, tuple(device.points.values()))
            for name, device in self._found.items()
        ]


def known_columns() -> frozenset[str]:
    """Every column that a table may have."""
    kinds = KINDS.values()
    points = key_names(PointSection).union(*(key_names(kind.point_settings) for kind in kinds))
    devices = key_names(DeviceSection).union(
        *(key_names(model) for kind in kinds for model in (kind.device_settings, kind.link_settings))
    )
    return frozenset({"device", "point", DROP, *points, *(f"device.{key}" for key in devices)})


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every key, in the order of first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def _cell(key: str, value: Any, comma: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        text = (
            str(int(value))
            if isinstance(value, float) and value.is_integer() and abs(value) < 1e15
            else repr(value)
        )
        return text.replace(".", ",") if comma else text
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    return f"'{text}" if text[:1] in _FORMULA else text
