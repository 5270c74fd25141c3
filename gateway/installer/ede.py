"""BACnet EDE files (Engineering Data Exchange, BACnet Interest Group Europe, layout 2): point lists of
controllers as their makers export them, read into the same descriptions that a scan makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drivers.bacnet.description import DeviceDescription, FoundDevice, ObjectDescription
from drivers.bacnet.names import OBJECT_TYPES
from drivers.bacnet.units import OURS, in_words
from drivers.base import Kind
from gateway.installer.csvmap import CellProblem, TableError, read_table

_COLUMNS: Final[tuple[str, ...]] = (
    "keyname", "device obj.-instance", "object-name", "object-type", "object-instance", "description",
    "present-value-default", "min-present-value", "max-present-value", "settable", "supports cov",
    "hi-limit", "low-limit", "state-text-reference", "unit-code", "vendor-specific-address",
    "notification-class",
)  # fmt: skip
_TYPES: Final = {number: name for name, number in OBJECT_TYPES.items()}
_STATES: Final = frozenset({3, 4, 5, 13, 14, 19})
_POINTS: Final = _STATES | {0, 1, 2, 12, 23, 24, 45, 46, 48}
_METERED: Final = ("_energy", "_volume")


def from_ede(raw: bytes, file: str) -> list[DeviceDescription]:
    """The devices of an EDE file. Raises TableError with every problem."""
    problems: list[CellProblem] = []
    found: dict[int, list[ObjectDescription]] = {}
    others: dict[int, list[str]] = {}
    columns = _COLUMNS
    for line, cells in read_table(raw, "keyname").rows:
        first = cells[0].strip().lower()
        if first.lstrip("# ").startswith("keyname"):
            columns = tuple(cell.strip().lstrip("# ").lower() for cell in cells)
        elif first.startswith("#") or len([c for c in cells if c.strip()]) < 4:
            continue  # the project's heading
        else:
            _take(dict(zip(columns, (c.strip() for c in cells), strict=False)),
                  CellProblem(file, line, ""), found, others, problems)  # fmt: skip
    if not found and not problems:
        problems.append(CellProblem(file, 1, "no objects; an EDE file has a line that begins with 'keyname'"))
    if problems:
        raise TableError(problems)
    return [
        DeviceDescription(FoundDevice(instance, "", 0, 0), tuple(objects), tuple(others.get(instance, ())))
        for instance, objects in found.items()
    ]


def _take(
    row: Mapping[str, str], at: CellProblem, found: dict[int, list[ObjectDescription]],
    others: dict[int, list[str]], problems: list[CellProblem],
) -> None:  # fmt: skip
    numbers = {}
    for key in ("device obj.-instance", "object-type", "object-instance"):
        text = row.get(key, "")
        if not text.isdigit():
            message = f"{key} '{text}' is no number; EDE layout 2 has numbers there"
            problems.append(CellProblem(at.file, at.line, message))
            return
        numbers[key] = int(text)
    device, kind, instance = numbers.values()
    name = _TYPES.get(kind, str(kind))
    if kind == OBJECT_TYPES["device"]:
        return
    if kind not in _POINTS:
        others.setdefault(device, []).append(f"{name},{instance}")
        return
    found.setdefault(device, []).append(_description(row, kind, f"{name},{instance}"))


def _description(row: Mapping[str, str], kind: int, place: str) -> ObjectDescription:
    name, about = row.get("object-name", ""), row.get("description", "")
    settable = row.get("settable", "").upper() in ("Y", "1", "TRUE", "J", "O")
    code = row.get("unit-code", "")
    ours = OURS.get(int(code)) if code.isdigit() else None
    quantity = in_words(ours.quantity, ours.unit, name, about) if ours else ""
    if kind in _STATES:
        return ObjectDescription(place, name, about, "", "", 1.0, "state",
                                 Kind.COMMAND if settable else Kind.STATE, commandable=settable)  # fmt: skip
    of = Kind.SETPOINT if settable and kind in (2, 45, 46, 48) else (
        Kind.COUNTER if quantity.endswith(_METERED) else Kind.GAUGE
    )  # fmt: skip
    return ObjectDescription(
        place, name, about, f"unit {code}" if code and not ours else "", ours.unit if ours else "",
        ours.factor if ours else 1.0, quantity, of, commandable=settable,
    )  # fmt: skip
