"""Modbus TCP equipment: serves points through the real protocol, encoded when they are asked for.

pymodbus' own server keeps registers that somebody must refresh, loses pipelined requests and answers unknown
units with the wrong exception; a meter is simpler: each request reads the truth at that moment.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, cast

from drivers.base import Now
from drivers.modbus.codec import EncodeError, encode
from drivers.modbus.plan import FUNCTION
from drivers.modbus.settings import PointSettings, Table
from simulators.base import ServedPoint

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
DEVICE_FAILURE: Final = 4
TARGET_SILENT: Final = 11

_log = logging.getLogger(__name__)

_HEADER: Final = struct.Struct(">HHHB")
_TABLES: Final = {function: table for table, function in FUNCTION.items()}
_LAYOUTS_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; `address` and `count` are 0 when the function has none."""

    transaction: int
    unit: int
    function: int
    address: int = 0
    count: int = 0


Tamper = Callable[[Request, bytes | None], Awaitable[bytes | None]]
"""A fault to inject: given a request and the frame that would answer it (None for silence), the bytes to
send instead, None for nothing. It may sleep to be late, and raise ConnectionAbortedError to hang up."""


class ModbusServer:
    """One loopback endpoint with its units.

    port: 0 takes a free one, known after start(). units: by unit id, the points each serves. A unit of which
    any point is NaN at the moment is off the wire and answers nothing. Registers without a point answer
    exception 2, units that do not exist exception 11, writes exception 1, values too large for their register
    exception 4. tamper: may be set while running.
    """

    def __init__(
        self,
        host: str,
        port: int,
        units: Mapping[int, Sequence[ServedPoint]],
        now: Now,
        *,
        tamper: Tamper | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.tamper = tamper
        self.requests = 0
        self._units = {unit: _Unit(points, now) for unit, points in units.items()}
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection, as a device that loses power."""
        if self._server is not None:
            self._server.close()
            self.drop_connections()
            await self._server.wait_closed()
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
        body = unit.answer(request) if unit else _refusal(request, TARGET_SILENT)
        if body is None:
            return None
        return _HEADER.pack(request.transaction, 0, len(body) + 1, request.unit) + body


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

    def __init__(self, points: Sequence[ServedPoint], now: Now) -> None:
        self._now = now
        self._points = points
        self._covering: dict[Table, dict[int, list[int]]] = {table: {} for table in Table}
        for index, point in enumerate(points):
            place = _settings(point)
            for address in range(place.start, place.start + place.words):
                self._covering[place.space].setdefault(address, []).append(index)
        self._layouts: dict[tuple[Table, int, int], list[_Piece] | None] = {}

    def answer(self, request: Request) -> bytes | None:
        at_ns = self._now()
        values = [point.value_at(at_ns) for point in self._points]
        if any(isnan(value) for value in values):
            return None
        table = _TABLES.get(request.function)
        if table is None:
            return _refusal(request, ILLEGAL_FUNCTION)
        if not 1 <= request.count <= (2000 if table.holds_bits else 125):
            return _refusal(request, ILLEGAL_VALUE)
        pieces = self._layout(table, request.address, request.count)
        if pieces is None:
            return _refusal(request, ILLEGAL_ADDRESS)
        size = (request.count + 7) // 8 if table.holds_bits else 2 * request.count
        try:
            return bytes([request.function, size]) + _assemble(pieces, values, size)
        except EncodeError:
            _log.exception("a value does not fit its register")
            return _refusal(request, DEVICE_FAILURE)

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
        while len(self._received) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._received)
            if protocol or not 2 <= length <= 254:
                self.abort()
                return
            if len(self._received) < 6 + length:
                return
            body = bytes(self._received[_HEADER.size : 6 + length])
            del self._received[: 6 + length]
            self._take(_request(transaction, unit, body))

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
            self._transport.write(frame)


def _settings(point: ServedPoint) -> PointSettings:
    if not isinstance(point.settings, PointSettings):
        raise TypeError(f"{point.name} is no Modbus point: {point.settings!r}")
    return point.settings


def _request(transaction: int, unit: int, body: bytes) -> Request:
    if len(body) < 5:
        return Request(transaction, unit, body[0])
    address, count = struct.unpack_from(">HH", body, 1)
    return Request(transaction, unit, body[0], address, count)


def _refusal(request: Request, exception: int) -> bytes:
    return bytes([request.function | 0x80, exception])


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
