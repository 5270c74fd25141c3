"""Modbus equipment behind a socket: serves points through the real protocol, encoded when they are asked for.

pymodbus' own server keeps registers that somebody must refresh, loses pipelined requests and answers unknown
units with the wrong exception; a meter is simpler: each request reads the truth at that moment.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Final, cast

from drivers.base import Now
from drivers.modbus.codec import EncodeError, decode, encode
from drivers.modbus.plan import FUNCTION
from drivers.modbus.settings import PointSettings, Table
from simulators.base import ServedPoint
from simulators.modbus_frames import (
    Framer,
    LostStepError,
    Request,
    answer_frame,
    identification,
    on_the_wire,
    refusal,
    take_request,
)

__all__ = ["ModbusServer", "Request", "Tamper", "Written"]

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
DEVICE_FAILURE: Final = 4
TARGET_SILENT: Final = 11

_log = logging.getLogger(__name__)

IDENTIFY: Final = 43
COIL_ON: Final = 0xFF00
_WRITES: Final = {
    5: (Table.COIL, True), 6: (Table.HOLDING, True), 15: (Table.COIL, False), 16: (Table.HOLDING, False),
}  # fmt: skip
_TABLES: Final = {function: table for table, function in FUNCTION.items()}
_LAYOUTS_KEPT: Final = 1024


Tamper = Callable[[Request, bytes | None], Awaitable[bytes | None]]
"""A fault to inject: given a request and the frame that would answer it (None for silence), the bytes to
send instead, None for nothing. It may sleep to be late, and raise ConnectionAbortedError to hang up. Frames
have an MBAP header whatever the framing; RTU frames lose it and get their checksum afterwards."""

Written = Callable[[int, str, float], None]
"""Told of each value that a client wrote: unit, point, value in the device's unit."""


class ModbusServer:
    """One loopback endpoint with its units.

    port: 0 takes a free one, known after start(). units: by unit id, the points each serves. A unit of which
    any point is NaN at the moment is off the wire and answers nothing. Registers without a point answer
    exception 2, units that do not exist exception 11, values too large for their register exception 4.
    tamper: may be set while running. written: takes what clients write; without it writes answer exception 1.
    identities: by unit id, the texts of function 43/14 by object id; others answer exception 1. framer: `rtu`
    is what serial converters send over TCP. tls: the server's side of an encrypted link.
    """

    def __init__(
        self,
        host: str,
        port: int,
        units: Mapping[int, Sequence[ServedPoint]],
        now: Now,
        *,
        tamper: Tamper | None = None,
        written: Written | None = None,
        identities: Mapping[int, Mapping[int, str]] | None = None,
        framer: Framer = "socket",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.tamper = tamper
        self.framer = framer
        self.requests = 0
        self._tls = tls
        self._identities = identities or {}
        self._units = {
            unit: _Unit(points, now, partial(written, unit) if written else None)
            for unit, points in units.items()
        }
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), self.host, self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection, as a device that loses power."""
        if self._server is not None:
            self._server.close()
            self.drop_connections()
            await self._server.wait_closed()
            await asyncio.sleep(0)  # lets the dropped connections close their sockets
            self._server = None

    def drop_connections(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    def forget_connections(self) -> None:
        """Leave every connection half-open: it stays up, and what it asks reaches nobody. New ones work."""
        for connection in self._connections:
            connection.forget()

    def joined(self, connection: _Connection) -> None:
        self._connections.add(connection)

    def left(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    def answer(self, request: Request) -> bytes | None:
        """The frame that answers a request, None for silence."""
        self.requests += 1
        unit = self._units.get(request.unit)
        body = self._body(request, unit) if unit else refusal(request, TARGET_SILENT)
        return None if body is None else answer_frame(request, body)

    def _body(self, request: Request, unit: _Unit) -> bytes | None:
        texts = self._identities.get(request.unit)
        if request.function == IDENTIFY and texts is not None and unit.on_the_wire:
            return identification(request, texts)
        return unit.answer(request)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A point's share of an answer: bytes `source` of its encoding go to `target` (bits: bit `bit`)."""

    settings: PointSettings
    point: int
    target: slice
    source: slice
    bit: int = 0


class _Unit:
    """One device: its registers exist only in its points."""

    def __init__(
        self, points: Sequence[ServedPoint], now: Now, written: Callable[[str, float], None] | None
    ) -> None:
        self._now = now
        self._points = points
        self._written = written
        self._covering: dict[Table, dict[int, list[int]]] = {table: {} for table in Table}
        for index, point in enumerate(points):
            place = _settings(point)
            for address in range(place.start, place.start + place.words):
                self._covering[place.space].setdefault(address, []).append(index)
        self._layouts: dict[tuple[Table, int, int], list[_Piece] | None] = {}

    def answer(self, request: Request) -> bytes | None:
        values = self._values()
        if any(isnan(value) for value in values):
            return None
        if request.function in _WRITES and self._written is not None:
            return self._write(request, *_WRITES[request.function])
        table = _TABLES.get(request.function)
        if table is None:
            return refusal(request, ILLEGAL_FUNCTION)
        if not 1 <= request.count <= (2000 if table.holds_bits else 125):
            return refusal(request, ILLEGAL_VALUE)
        pieces = self._layout(table, request.address, request.count)
        if pieces is None:
            return refusal(request, ILLEGAL_ADDRESS)
        size = (request.count + 7) // 8 if table.holds_bits else 2 * request.count
        try:
            return bytes([request.function, size]) + _assemble(pieces, values, size)
        except EncodeError:
            _log.exception("a value does not fit its register")
            return refusal(request, DEVICE_FAILURE)

    @property
    def on_the_wire(self) -> bool:
        return not any(isnan(value) for value in self._values())

    def _values(self) -> list[float]:
        at_ns = self._now()
        return [point.value_at(at_ns) for point in self._points]

    def _write(self, request: Request, table: Table, single: bool) -> bytes:
        """Tell what was written to each point; a number of which only a part is written is refused."""
        assert self._written is not None  # noqa: S101 - asked before
        image = _image(request, table, single)
        count = 1 if single else request.count
        if image is None:
            return refusal(request, ILLEGAL_VALUE)
        pieces = self._layout(table, request.address, count)
        if pieces is None:
            return refusal(request, ILLEGAL_ADDRESS)
        places = [(piece, piece.settings.start - request.address) for piece in pieces]
        if any(at < 0 or at + piece.settings.words > count for piece, at in places):
            return refusal(request, ILLEGAL_VALUE)
        for piece, at in places:
            part = image[at : at + 1] if table.holds_bits else image[2 * at : 2 * (at + piece.settings.words)]
            self._written(self._points[piece.point].name, decode(piece.settings, part)[0])
        return bytes([request.function]) + request.data[:4]

    def _layout(self, table: Table, address: int, count: int) -> list[_Piece] | None:
        """Which bytes of which points answer a read; None when a register has no point."""
        key = (table, address, count)
        if key not in self._layouts:
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            self._layouts[key] = self._new_layout(table, address, count)
        return self._layouts[key]

    def _new_layout(self, table: Table, address: int, count: int) -> list[_Piece] | None:
        covering = self._covering[table]
        wanted = range(address, address + count)
        if any(register not in covering for register in wanted):
            return None
        indexes = sorted({index for register in wanted for index in covering[register]})
        return [_piece(_settings(self._points[index]), index, address, count) for index in indexes]


class _Connection(asyncio.Protocol):
    """Frames of one client; answers leave in the order of the requests."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._queue: asyncio.Queue[Request] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._forgotten = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.left(self)
        if self._worker is not None:
            self._worker.cancel()

    def data_received(self, data: bytes) -> None:
        if self._forgotten:
            return
        self._received += data
        try:
            while (request := take_request(self._received, self._server.framer)) is not None:
                self._take(request)
        except LostStepError:
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def forget(self) -> None:
        self._forgotten = True

    def _take(self, request: Request) -> None:
        if self._server.tamper is None and self._queue.empty():
            self._send(self._server.answer(request))
            return
        self._queue.put_nowait(request)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Answer under tampering, one request after the other."""
        while True:
            request = await self._queue.get()
            frame = self._server.answer(request)
            tamper = self._server.tamper
            try:
                self._send(await tamper(request, frame) if tamper else frame)
            except ConnectionAbortedError:
                self.abort()

    def _send(self, frame: bytes | None) -> None:
        if frame is not None and self._transport is not None:
            self._transport.write(on_the_wire(frame, self._server.framer))


def _settings(point: ServedPoint) -> PointSettings:
    if not isinstance(point.settings, PointSettings):
        raise TypeError(f"{point.name} is no Modbus point: {point.settings!r}")
    return point.settings


def _image(request: Request, table: Table, single: bool) -> bytes | None:
    """What a write carries: two bytes a register, one byte a coil; None when its length is wrong."""
    if single:
        return bytes([request.count == COIL_ON]) if table.holds_bits else request.data[2:4]
    packed = request.data[5:]
    size = (request.count + 7) // 8 if table.holds_bits else 2 * request.count
    if request.count < 1 or len(packed) != size or request.data[4] != size:
        return None
    if not table.holds_bits:
        return packed
    return bytes(packed[place // 8] >> place % 8 & 1 for place in range(request.count))


def _piece(settings: PointSettings, index: int, address: int, count: int) -> _Piece:
    distance = settings.start - address
    if settings.space.holds_bits:
        return _Piece(settings, index, slice(distance // 8, distance // 8 + 1), slice(0, 1), distance % 8)
    begin, end = max(0, 2 * distance), min(2 * count, 2 * (distance + settings.words))
    return _Piece(settings, index, slice(begin, end), slice(begin - 2 * distance, end - 2 * distance))


def _assemble(pieces: Sequence[_Piece], values: Sequence[float], size: int) -> bytes:
    """Points that share a register (its bits) are or-ed together."""
    image = bytearray(size)
    for piece in pieces:
        part = encode(piece.settings, values[piece.point])[piece.source]
        for offset, byte in enumerate(part, piece.target.start):
            image[offset] |= byte << piece.bit
    return bytes(image)
