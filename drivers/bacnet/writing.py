"""Commands: one WriteProperty with a typed value and a priority, then what the device made of it.

BAC0's own write is not used: it loses the value's type and the error. A command to a commandable object
goes into one slot of its priority array; the lowest-numbered slot that is not Null is in force, so reading
the array back tells who really holds the point.
"""

from __future__ import annotations

import asyncio
from math import isfinite
from typing import Any, cast

import numpy as np
from bacpypes3.apdu import ErrorPDU, ErrorRejectAbortNack, WritePropertyRequest
from bacpypes3.primitivedata import (
    Boolean,
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectIdentifier,
    Real,
    Unsigned,
)

from drivers.bacnet.codec import Answer, GarbledAnswer, State
from drivers.bacnet.faults import fault_of
from drivers.bacnet.names import PRESENT_VALUE, PRIORITY_ARRAY
from drivers.bacnet.plan import Reference, reference_of
from drivers.bacnet.session import DeviceSession, Unreachable
from drivers.bacnet.settings import PointSettings
from drivers.base import Fault, FaultCode, Kind, Write, WriteResult

SLOTS = 16

_TYPES: dict[int, Any] = {
    0: Real, 1: Real, 2: Real, 12: Real, 24: Real, 54: Real,
    3: Enumerated, 4: Enumerated, 5: Enumerated, 28: Enumerated, 55: Enumerated,
    13: Unsigned, 14: Unsigned, 19: Unsigned, 23: Unsigned, 30: Enumerated, 48: Unsigned, 60: Real,
    45: Integer, 46: Double,
}  # fmt: skip
"""Object type -> the type of its present value (ASHRAE 135, clause 12)."""
_PROPERTY_TYPES: dict[int, Any] = {81: Boolean}
"""Property -> its type, where it is not that of the present value."""
_BINARY = (3, 4, 5)
_MULTI_STATE = (13, 14, 19)


class Unwritable(ValueError):  # noqa: N818 - reads as what it is at the raise
    """The command cannot be put into an octet string that means it; nothing was sent."""


async def write(session: DeviceSession, command: Write) -> WriteResult:
    """Send one command and read back what is in force then.

    A command that makes no sense is refused before anything is sent: only setpoints and commands are
    written, slots are 1 to 16, and a value must be one that the object can hold.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    reference = reference_of(cast(PointSettings, command.point.source))
    try:
        value = _checked(command, reference)
        await session.request(lambda address: _request(address, reference, value, command.priority))
    except Unwritable as reason:
        return WriteResult(loop.time() - started, Fault(FaultCode.REFUSED, str(reason)))
    except (ErrorRejectAbortNack, Unreachable, TimeoutError) as refusal:
        return WriteResult(loop.time() - started, _fault(refusal))
    return await _read_back(session, reference, started)


async def _read_back(session: DeviceSession, reference: Reference, started: float) -> WriteResult:
    """The value and the slot in force, as far as the device tells; the write itself is done."""
    wanted = [reference]
    if reference.property == PRESENT_VALUE:
        wanted += [reference._replace(property=PRIORITY_ARRAY, array_index=slot + 1) for slot in range(SLOTS)]
    try:
        answer = await session.fetch(wanted)
    except (ErrorRejectAbortNack, Unreachable, TimeoutError, GarbledAnswer):
        return WriteResult(asyncio.get_running_loop().time() - started)
    found = float(answer.value[0]) if answer.state[0] == State.VALUE else None
    return WriteResult(
        asyncio.get_running_loop().time() - started, read_back=found, active_priority=_active(answer)
    )


def _active(answer: Answer) -> int | None:
    """The highest slot that commands, None without a priority array or when all are given up."""
    taken = np.flatnonzero(answer.state[1:] == State.VALUE)
    return int(taken[0]) + 1 if len(taken) else None


def _checked(command: Write, reference: Reference) -> Any:
    """The command's value as the object's own type. Raises Unwritable."""
    point = command.point
    if point.kind not in (Kind.SETPOINT, Kind.COMMAND):
        raise Unwritable(
            f"{point.device}/{point.name} is a {point.kind}: only setpoints and commands are written"
        )
    if command.priority is not None and not 1 <= command.priority <= SLOTS:
        raise Unwritable(f"priority {command.priority} does not exist: 1 is the highest, 16 the lowest")
    if command.value is None:
        return Null(())
    kind = _PROPERTY_TYPES.get(reference.property) or _TYPES.get(reference.object_type)
    if kind is None:
        raise Unwritable(f"objects of type {reference.object_type} cannot be written")
    if not isfinite(command.value):
        raise Unwritable("NaN and infinity are no commands")
    if kind in (Real, Double):
        return kind(command.value)
    return kind(_whole(command.value, reference, kind))


def _whole(value: float, reference: Reference, kind: Any) -> int:
    number = round(value)
    if number != value:
        raise Unwritable(f"{value:g} is no whole number, which this object needs")
    low, high = (0 if kind is not Integer else -(2**31)), 2**32 - 1
    if reference.object_type in _BINARY or kind is Boolean:
        high = 1
    elif reference.object_type in _MULTI_STATE:
        low = 1
    if not low <= number <= high:
        raise Unwritable(f"{number} is out of range: this object takes {low} to {high}")
    return number


def _request(address: Any, reference: Reference, value: Any, priority: int | None) -> Any:
    wanted: dict[str, Any] = {
        "objectIdentifier": ObjectIdentifier((reference.object_type, reference.instance)),
        "propertyIdentifier": reference.property,
        "propertyValue": value,
        "destination": address,
    }
    if reference.array_index is not None:
        wanted["propertyArrayIndex"] = reference.array_index
    if priority is not None:
        wanted["priority"] = priority
    return WritePropertyRequest(**wanted)


def _fault(refusal: Exception) -> Fault:
    """Why a write was not accepted, in words."""
    if isinstance(refusal, Unreachable):
        return refusal.fault
    if isinstance(refusal, TimeoutError):
        return Fault(FaultCode.NO_ANSWER, "no answer: the command may or may not have been taken")
    fault = fault_of(refusal)
    if fault.code is FaultCode.NO_ANSWER:
        return Fault(FaultCode.NO_ANSWER, "no answer: the command may or may not have been taken")
    words = _WORDS.get(int(refusal.errorCode)) if isinstance(refusal, ErrorPDU) else None
    return Fault(fault.code, f"{words} ({fault.detail})" if words else fault.detail)


_WORDS: dict[int, str] = {
    9: "the device wants a value of another type",
    31: "the device has no such object",
    32: "the object has no such property",
    37: "the device holds this value for out of range",
    40: "the device does not let this point be written",
}
"""Error codes that an installer can do something about."""
