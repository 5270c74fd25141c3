"""Asking a device for all that a device map needs: objects, names, units, texts, values.

The object list is read by array index in ReadPropertyMultiple batches, so that a device without segmentation
tells it too; batches shrink as they do in polling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from bacpypes3.apdu import ErrorPDU, ErrorRejectAbortNack
from bacpypes3.basetypes import EngineeringUnits
from bacpypes3.pdu import Address

from drivers.bacnet.description import DeviceDescription, FoundDevice, ObjectDescription
from drivers.bacnet.faults import is_silence, is_too_big, knows_no_service
from drivers.bacnet.names import OBJECT_TYPES, PRESENT_VALUE, PRIORITY_ARRAY
from drivers.bacnet.plan import Reference
from drivers.bacnet.stock import StockReader, is_value
from drivers.bacnet.units import OURS, OurUnit, in_words
from drivers.base import Kind

Progress = Callable[[int, int], None]
"""Called with (objects read, objects in all)."""

LIST_BATCH = 50
TEXT_BATCH = 24
"""References in one request to begin with; a name is five times as long as a number."""

_ACTIVE, _INACTIVE, _COV_INCREMENT, _DESCRIPTION = 4, 46, 22, 28
_OBJECT_LIST, _NAME, _STATES, _UNITS, _LOGGED = 76, 77, 110, 117, 132
_TRACKED_PULSES = OBJECT_TYPES["pulse-converter"]
_DEVICE, _TREND_LOG, _ACCUMULATOR = 8, 20, 23
_ANALOG = frozenset({0, 1, 2, _ACCUMULATOR, _TRACKED_PULSES, 45, 46, 48})
_BINARY = frozenset({3, 4, 5})
_MULTI_STATE = frozenset({13, 14, 19})
_LOOP = OBJECT_TYPES["loop"]
_OUTPUTS = frozenset({4, 14})
_VALUES = frozenset({2, 5, 19, 45, 46, 48})
_POINTS = _ANALOG | _BINARY | _MULTI_STATE | {_LOOP}
_METERED = frozenset(
    {"electric_energy", "reactive_energy", "apparent_energy", "heat_energy", "gas_energy", "water_volume",
     "gas_volume"}
)  # fmt: skip
_TYPE_NAMES = {number: name for name, number in OBJECT_TYPES.items()}

ObjectId = tuple[int, int]
Found = Mapping[Reference, Any]


async def describe(app: Any, device: FoundDevice, progress: Progress | None = None) -> DeviceDescription:
    """The device's objects. app: an open link's application (`Stack.open(settings)` has one as `.app`).

    Raises the library's ErrorRejectAbortNack when the device does not tell its object list.
    """
    asker = _Asker(app, Address(device.address))
    listed = await _object_list(asker, device)
    points = [item for item in listed if item[0] in _POINTS]
    described: list[ObjectDescription] = []
    logs = await _logs(asker, [item for item in listed if item[0] == _TREND_LOG])
    for start in range(0, len(points), LIST_BATCH):
        some = points[start : start + LIST_BATCH]
        found = await asker.ask([r for item in some for r in _wanted(item)], TEXT_BATCH)
        described += [_described(item, found, logs.get(item, "")) for item in some]
        if progress:
            progress(len(described), len(points))
    others = tuple(_text(item) for item in listed if item[0] not in _POINTS and item[0] != _DEVICE)
    return DeviceDescription(device, tuple(described), others)


class _Asker:
    """Reads many references of one device, in batches as large as it can answer."""

    def __init__(self, app: Any, address: Any) -> None:
        self._reader = StockReader(app)
        self._address = address
        self._most = 200
        self._singly = False

    async def ask(self, references: Sequence[Reference], batch: int) -> dict[Reference, Any]:
        """What came; references that the device has nothing for are left out."""
        found: dict[Reference, Any] = {}
        at = 0
        while at < len(references):
            some = references[at : at + min(batch, self._most)]
            got = await self._some(some)
            if got is not None:
                found |= {reference: item for reference, item in got.items() if is_value(item)}
                at += len(some)
        return found

    async def _some(self, references: Sequence[Reference]) -> Mapping[Reference, Any] | None:
        """One request; None when it is to be asked again in another way."""
        if self._singly:
            return await self._reader.values_singly(self._address, references)
        try:
            return await self._reader.values(self._address, references)
        except ErrorRejectAbortNack as refusal:
            if knows_no_service(refusal):
                self._singly = True
            elif len(references) > 1 and is_too_big(refusal):
                self._most = (len(references) + 1) // 2
            elif isinstance(refusal, ErrorPDU) and len(references) > 1:  # one bad reference fails them all
                return await self._reader.values_singly(self._address, references)
            elif is_silence(refusal) or len(references) > 1:
                raise
            else:
                return {}
            return None


async def _object_list(asker: _Asker, device: FoundDevice) -> list[ObjectId]:
    whole = Reference(_DEVICE, device.instance, _OBJECT_LIST, 0)
    size = (await asker.ask([whole], 1)).get(whole)
    if size is None:
        return []
    entries = [whole._replace(array_index=at + 1) for at in range(int(size))]
    found = await asker.ask(entries, LIST_BATCH)
    return [(int(item[0]), int(item[1])) for entry in entries if (item := found.get(entry)) is not None]


async def _logs(asker: _Asker, logs: Sequence[ObjectId]) -> dict[ObjectId, str]:
    """Which object each trend log records: the object's present value -> 'trend-log,5'."""
    found = await asker.ask([Reference(*log, _LOGGED) for log in logs], TEXT_BATCH)
    recorded = {}
    for reference, item in found.items():
        if int(item.propertyIdentifier) == PRESENT_VALUE:
            logged = (int(item.objectIdentifier[0]), int(item.objectIdentifier[1]))
            recorded[logged] = f"trend-log,{reference.instance}"
    return recorded


def _wanted(item: ObjectId) -> Iterable[Reference]:
    kind = item[0]
    properties = [_NAME, _DESCRIPTION, PRESENT_VALUE]
    if kind in _ANALOG:
        properties += [_UNITS, _COV_INCREMENT]
    if kind in _BINARY:
        properties += [_INACTIVE, _ACTIVE]
    if kind in _MULTI_STATE:
        properties.append(_STATES)
    yield from (Reference(*item, prop) for prop in properties)
    if kind == _LOOP:
        yield Reference(*item, 20)  # controlled-variable-units
    if kind in _VALUES:  # outputs always have one
        yield Reference(*item, PRIORITY_ARRAY, 0)


def _described(item: ObjectId, found: Found, trend_log: str) -> ObjectDescription:
    def tells(prop: int, index: int | None = None) -> Any:
        return found.get(Reference(*item, prop, index))

    name, description = str(tells(_NAME) or ""), str(tells(_DESCRIPTION) or "")
    number = tells(20 if item[0] == _LOOP else _UNITS)
    ours = _unit(item, None if number is None else int(number), name, description)
    commandable = item[0] in (1, 4, 14) or tells(PRIORITY_ARRAY, 0) is not None
    increment = _number(tells(_COV_INCREMENT))
    return ObjectDescription(
        object=_text(item),
        name=name,
        description=description,
        bacnet_unit="" if number is None else _unit_name(int(number)),
        unit=ours.unit,
        factor=ours.factor,
        quantity=ours.quantity,
        kind=_kind(item[0], ours.quantity, commandable),
        value=_number(tells(PRESENT_VALUE)),
        commandable=commandable,
        states=_state_texts(item[0], tells),
        cov_increment=increment or None,
        trend_log=trend_log,
    )


def _unit(item: ObjectId, number: int | None, name: str, description: str) -> OurUnit:
    if item[0] in _BINARY | _MULTI_STATE:
        return OurUnit("", "state")
    known = OURS.get(-1 if number is None else number)
    if known is None:
        return OurUnit("", "")
    return known._replace(quantity=in_words(known.quantity, known.unit, name, description))


def _kind(object_type: int, quantity: str, commandable: bool) -> Kind:
    """What a point is: who can be commanded is a wish, what counts energy or volume is a counter."""
    if object_type in _BINARY | _MULTI_STATE:
        wanted = object_type in _OUTPUTS or (object_type in _VALUES and commandable)
        return Kind.COMMAND if wanted else Kind.STATE
    if object_type in _VALUES and commandable:
        return Kind.SETPOINT
    if object_type == _ACCUMULATOR or quantity in _METERED:
        return Kind.COUNTER
    return Kind.GAUGE


def _state_texts(object_type: int, tells: Callable[[int], Any]) -> tuple[str, ...]:
    if object_type in _BINARY:
        texts = (tells(_INACTIVE), tells(_ACTIVE))
        return tuple(str(text) for text in texts) if None not in texts else ()
    return tuple(str(text) for text in tells(_STATES) or ()) if object_type in _MULTI_STATE else ()


def _number(item: Any) -> float | None:
    try:
        number = float(item)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def _text(item: ObjectId) -> str:
    return f"{_TYPE_NAMES.get(item[0], item[0])},{item[1]}"


def _unit_name(number: int) -> str:
    try:
        name = str(EngineeringUnits(number))
    except ValueError:
        name = str(number)
    return f"unit {number}" if name.isdigit() else name
