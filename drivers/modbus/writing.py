"""Commands: what to send so that a point holds a value, and whether it then does.

A register is written with function 6, several with 16, a coil with 5; a device that has only the functions
for many (exception 1) gets 16 and 15. A bit of a register is written by reading its word and writing it back:
no function for that is known to enough devices, so another master may come between.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from math import isfinite
from typing import Final

from drivers.base import Fault, FaultCode, Kind, Quality, Write, WriteResult
from drivers.modbus.client import (
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    ReadRequest,
    Request,
    WriteRequest,
)
from drivers.modbus.codec import EncodeError, decode, encode
from drivers.modbus.errors import ILLEGAL_FUNCTION, ExceptionAnswer, RequestError
from drivers.modbus.plan import FUNCTION
from drivers.modbus.settings import PointSettings, Table
from drivers.modbus.types import RegisterType

Ask = Callable[[Request], Awaitable[bytes]]
_FOR_MANY: Final = {WRITE_COIL: WRITE_COILS, WRITE_REGISTER: WRITE_REGISTERS}


class Unwritable(ValueError):  # noqa: N818 - reads as what it is at the raise
    """The command means nothing to a Modbus device; nothing was sent."""


async def write(ask: Ask, unit: int, command: Write) -> WriteResult:
    """Send one command and read back what the device holds then.

    A device that confirms and then holds something else did not accept: that is a fault. One that does not
    let the register be read has no `read_back`.
    """
    began = time.perf_counter()
    try:
        place = await _scaled(ask, unit, _checked(command))
        data = await _data(ask, unit, place, float(command.value or 0.0))
        await _send(ask, unit, place, data)
    except Unwritable as reason:
        return WriteResult(time.perf_counter() - began, Fault(FaultCode.REFUSED, str(reason)))
    except RequestError as error:
        return WriteResult(time.perf_counter() - began, error.fault)
    return await _verified(ask, unit, place, data, began)


async def _verified(ask: Ask, unit: int, place: PointSettings, data: bytes, began: float) -> WriteResult:
    try:
        found = await ask(ReadRequest(unit, FUNCTION[place.space], place.start, place.words))
    except RequestError:
        return WriteResult(time.perf_counter() - began)
    value, quality = decode(place, found)
    holds = value if quality == Quality.GOOD else None
    kept = found == data if place.bit is None else holds == decode(place, data)[0]
    fault = None if kept else Fault(FaultCode.DEVICE_ERROR, "it confirmed the write, but holds another value")
    return WriteResult(time.perf_counter() - began, fault, holds)


async def _scaled(ask: Ask, unit: int, place: PointSettings) -> PointSettings:
    """The place with the scale factor that the device has now written into its scale."""
    if place.sf is None:
        return place
    word = await ask(ReadRequest(unit, FUNCTION[place.space], place.sf, 1))
    exponent = int.from_bytes(word, "big", signed=True)
    if not -10 <= exponent <= 10:
        raise Unwritable(f"its scale factor is {exponent}: there is no scale to write by")
    return place.model_copy(update={"sf": None, "scale": place.scale * 10.0**exponent})


async def _data(ask: Ask, unit: int, place: PointSettings, value: float) -> bytes:
    """The bytes to write: a number's words, a coil's 0 or 1, or a word with one bit changed."""
    try:
        data = encode(place, value)
    except EncodeError as error:
        raise Unwritable(str(error)) from None
    if place.bit is None:
        return data
    word = int.from_bytes(await ask(ReadRequest(unit, FUNCTION[place.space], place.start, 1)), "big")
    mask = int.from_bytes(encode(place, float((1 << place.bits) - 1)), "big")
    return (word & ~mask | int.from_bytes(data, "big")).to_bytes(2, "big")


async def _send(ask: Ask, unit: int, place: PointSettings, data: bytes) -> None:
    if place.space is Table.COIL:
        function = WRITE_COIL
    else:
        function = WRITE_REGISTER if place.words == 1 else WRITE_REGISTERS
    try:
        await ask(WriteRequest(unit, function, place.start, data))
    except ExceptionAnswer as error:
        if error.exception != ILLEGAL_FUNCTION or function not in _FOR_MANY:
            raise
        await ask(WriteRequest(unit, _FOR_MANY[function], place.start, data))


def _checked(command: Write) -> PointSettings:
    """The point's place. Raises Unwritable when the command makes no sense."""
    point, place = command.point, command.point.source
    name = f"{point.device}/{point.name}"
    if not isinstance(place, PointSettings):
        raise Unwritable(f"{name} is no Modbus point")
    if point.kind not in (Kind.SETPOINT, Kind.COMMAND):
        raise Unwritable(f"{name} is a {point.kind}: only setpoints and commands are written")
    if place.space not in (Table.COIL, Table.HOLDING):
        raise Unwritable(f"{name} lies in table {place.space}, which cannot be written")
    if command.value is None:
        raise Unwritable("Modbus has no slot to give up: write the value that shall hold instead")
    if not isfinite(command.value):
        raise Unwritable("NaN and infinity are no commands")
    if place.decoded_type is RegisterType.BIT and place.bits == 1 and command.value not in (0, 1):
        raise Unwritable(f"{command.value:g} is neither 0 nor 1, which a bit needs")
    return place
