"""Reading by the library's own methods: the reference for the fast path, and its stand-in.

Also the only way with devices that know ReadProperty but not ReadPropertyMultiple.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
from bacpypes3.apdu import ErrorPDU, ErrorRejectAbortNack
from bacpypes3.basetypes import ErrorType, PriorityValue, PropertyIdentifier, PropertyReference
from bacpypes3.constructeddata import AnyAtomic
from bacpypes3.primitivedata import BitString, Null, ObjectIdentifier

from drivers.bacnet.codec import Answer, State
from drivers.bacnet.plan import ReadRequest, Reference


class StockReader:
    """Reads through `app` with bacpypes3's read_property_multiple, or one by one with read_property."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def read(self, address: Any, request: ReadRequest, *, trace: bool = False) -> Answer:
        """Raises the library's ErrorRejectAbortNack."""
        found = await self.values(address, request.references)
        return _answer(
            request.references, [found.get(reference, _MISSING) for reference in request.references], trace
        )

    async def values(self, address: Any, references: Sequence[Reference]) -> dict[Reference, Any]:
        """What the device has for each reference, as the library's own types; errors are ErrorType.

        Raises the library's ErrorRejectAbortNack.
        """
        asked: list[Any] = []
        for reference in references:
            wanted = PropertyReference(propertyIdentifier=reference.property)
            if reference.array_index is not None:
                wanted.propertyArrayIndex = reference.array_index
            asked += [ObjectIdentifier((reference.object_type, reference.instance)), [wanted]]
        results = await self._app.read_property_multiple(address, asked)
        return {
            Reference(int(o[0]), int(o[1]), int(p), None if i is None else int(i)): value
            for o, p, i, value in results
        }

    async def read_singly(self, address: Any, request: ReadRequest, *, trace: bool = False) -> Answer:
        """One ReadProperty for each reference; an error for one leaves the others."""
        found = await self.values_singly(address, request.references)
        return _answer(request.references, list(found.values()), trace)

    async def values_singly(self, address: Any, references: Sequence[Reference]) -> dict[Reference, Any]:
        """The same as values(), one ReadProperty for each; errors are ErrorPDU."""
        found: dict[Reference, Any] = {}
        for reference in references:
            try:
                found[reference] = await self._app.read_property(
                    address,
                    ObjectIdentifier((reference.object_type, reference.instance)),
                    PropertyIdentifier(reference.property),
                    reference.array_index,
                )
            except ErrorRejectAbortNack as refusal:
                if not isinstance(refusal, ErrorPDU):
                    raise
                found[reference] = refusal
        return found


_MISSING = object()


def is_value(item: Any) -> bool:
    """Whether an entry of values() is what the device has, not why it gives nothing."""
    return item is not None and not isinstance(item, ErrorType | ErrorPDU)


def _answer(references: Sequence[Reference], values: Sequence[Any], trace: bool) -> Answer:
    value = np.full(len(references), np.nan)
    state = np.zeros(len(references), np.uint8)
    errors: dict[int, tuple[int, int]] = {}
    raw: dict[int, str] = {}
    for place, item in enumerate(values):
        number, state[place] = _number(item)
        value[place] = number
        if state[place] == State.ERROR:
            errors[place] = (int(item.errorClass), int(item.errorCode))
        if trace and item is not _MISSING:
            raw[place] = f"{type(item).__name__}({item!r})"
    return Answer(value, state, errors, raw)


def _number(item: Any) -> tuple[float, State]:
    if item is _MISSING:
        return nan, State.MISSING
    if isinstance(item, ErrorType | ErrorPDU):
        return nan, State.ERROR
    if isinstance(item, AnyAtomic):
        item = item.get_value()
    if isinstance(item, PriorityValue):
        item = getattr(item, item._choice)
    if isinstance(item, BitString):
        return float(sum(1 << (7 - place) for place, bit in enumerate(item[:8]) if bit)), State.VALUE
    if isinstance(item, Null):
        return nan, State.NULL
    if isinstance(item, int | float):
        return float(item), State.VALUE
    return nan, State.NOT_A_NUMBER
