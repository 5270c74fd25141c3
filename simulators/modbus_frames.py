"""Requests and answers on the wire of simulated Modbus equipment: MBAP over TCP, and RTU frames over TCP."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

HEADER: Final = struct.Struct(">HHHB")
Framer = Literal["socket", "rtu"]
_LONG_WRITES: Final = (15, 16)
_IDENTIFY: Final = 43


class LostStepError(ValueError):
    """What came is no frame: only a new connection finds the boundary again."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; `address` and `count` are 0 when the function has none.

    For functions 5 and 6 `count` is the word to write. data: all that follows the function code.
    """

    transaction: int
    unit: int
    function: int
    address: int = 0
    count: int = 0
    data: bytes = b""


def answer_frame(request: Request, body: bytes) -> bytes:
    """An answer with its MBAP header, whatever the framing: `body` begins with the function code."""
    return HEADER.pack(request.transaction, 0, len(body) + 1, request.unit) + body


def refusal(request: Request, exception: int) -> bytes:
    return bytes([request.function | 0x80, exception])


def take_request(received: bytearray, framer: Framer) -> Request | None:
    """The first whole request, removed from `received`; None when none is complete. Raises LostStepError."""
    return _take_rtu(received) if framer == "rtu" else _take_mbap(received)


def on_the_wire(frame: bytes, framer: Framer) -> bytes:
    """An MBAP frame as the framing sends it: RTU has no header, and a checksum instead."""
    if framer == "socket":
        return frame
    return frame[6:] + crc16(frame[6:])


def identification(request: Request, texts: Mapping[int, str]) -> bytes:
    """The answer to function 43/14: the basic objects, one frame each round as they fit."""
    code, first = request.data[1], request.data[2]
    objects = sorted((key, text.encode()) for key, text in texts.items() if key >= first)
    sent: list[tuple[int, bytes]] = []
    while objects and sum(2 + len(text) for _, text in [*sent, objects[0]]) <= 240:
        sent.append(objects.pop(0))
    more, following = (0xFF, objects[0][0]) if objects else (0, 0)
    head = bytes([_IDENTIFY, 14, code, 0x81, more, following, len(sent)])
    return head + b"".join(bytes([key, len(text)]) + text for key, text in sent)


def crc16(data: bytes) -> bytes:
    """Modbus over Serial Line V1.02, 6.2.2: CRC-16, polynomial 0xA001, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


def _take_mbap(received: bytearray) -> Request | None:
    if len(received) < HEADER.size:
        return None
    transaction, protocol, length, unit = HEADER.unpack_from(received)
    if protocol or not 2 <= length <= 254:
        raise LostStepError
    if len(received) < 6 + length:
        return None
    body = bytes(received[HEADER.size : 6 + length])
    del received[: 6 + length]
    return _request(transaction, unit, body)


def _take_rtu(received: bytearray) -> Request | None:
    if len(received) < 7:
        return None
    function = received[1]
    size = 9 + received[6] if function in _LONG_WRITES else 7 if function == _IDENTIFY else 8
    if len(received) < size:
        return None
    frame = bytes(received[:size])
    del received[:size]
    if crc16(frame[:-2]) != frame[-2:]:
        raise LostStepError
    return _request(0, frame[0], frame[1:-2])


def _request(transaction: int, unit: int, body: bytes) -> Request:
    if len(body) < 5:
        return Request(transaction, unit, body[0], data=body[1:])
    address, count = struct.unpack_from(">HH", body, 1)
    return Request(transaction, unit, body[0], address, count, body[1:])
