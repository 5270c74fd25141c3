"""Modbus equipment with faults: an endpoint whose units go wrong one by one, through the server's tamper."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from drivers.base import Now
from drivers.modbus.codec import EncodeError, encode
from drivers.modbus.plan import FUNCTION
from drivers.modbus.settings import PointSettings
from simulators.base import ServedPoint
from simulators.faults import ActiveFault, FaultBoard, FaultKind
from simulators.modbus import ILLEGAL_ADDRESS, ModbusServer, Request

_UNIT = 6
_FUNCTION = 7
_DATA = 9
"""Where they are in a frame: transaction, protocol, length, then these."""
_ON_THE_WIRE = (
    FaultKind.DELAY, FaultKind.DROP, FaultKind.EXCEPTION, FaultKind.UNKNOWN_OBJECT, FaultKind.NOT_AVAILABLE,
    FaultKind.CORRUPT, FaultKind.WRONG_UNIT, FaultKind.WRONG_TRANSACTION, FaultKind.TRUNCATE,
)  # fmt: skip
"""In the order in which they act on one answer."""


class FaultyModbus:
    """One endpoint. devices: by unit id, its name on the board and its points."""

    def __init__(
        self,
        board: FaultBoard,
        host: str,
        port: int,
        devices: Mapping[int, tuple[str, Sequence[ServedPoint]]],
        now: Now,
    ) -> None:
        self._board = board
        self._names = {unit: name for unit, (name, _) in devices.items()}
        self._points = {name: tuple(points) for name, points in devices.values()}
        spoiled = {
            unit: [board.spoiled(name, point) for point in points] for unit, (name, points) in devices.items()
        }
        self.server = ModbusServer(host, port, spoiled, now)
        self._down = 0
        for name, points in self._points.items():
            board.attach(name, _Unit(self, [point.name for point in points]))

    @property
    def port(self) -> int:
        return self.server.port

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    async def begin(self, active: ActiveFault) -> None:
        kind = active.fault.kind
        if kind is FaultKind.HALF_OPEN:
            self.server.forget_connections()
        elif kind is FaultKind.REBOOT:
            self._down += 1
            await self.server.stop()
        self._arm()

    async def end(self, active: ActiveFault) -> None:
        if active.fault.kind is FaultKind.REBOOT:
            self._down -= 1
            if not self._down:
                await self.server.start()
        self._arm()

    def _arm(self) -> None:
        """Tamper only while something is wrong: a healthy endpoint answers without a detour."""
        wrong = any(self._board.active(name) for name in self._points)
        self.server.tamper = self._tamper if wrong else None

    async def _tamper(self, request: Request, frame: bytes | None) -> bytes | None:
        name = self._names.get(request.unit)
        if name is None:
            return frame
        striking = {active.fault.kind: active for active in self._board.striking(name, *_ON_THE_WIRE)}
        for kind in _ON_THE_WIRE:
            if kind not in striking or frame is None:
                continue
            fault = striking[kind].fault
            if kind is FaultKind.DELAY:
                await asyncio.sleep(fault.seconds or 0.0)
            elif kind is FaultKind.DROP:
                return None
            elif kind is FaultKind.EXCEPTION:
                frame = _refused(frame, fault.code or 0)
            elif kind is FaultKind.UNKNOWN_OBJECT:
                frame = self._denied(name, fault.point, request, frame)
            elif kind is FaultKind.NOT_AVAILABLE:
                frame = self._without_values(name, fault.point, request, frame)
            else:
                frame = _mangled(kind, frame)
        return frame

    def _denied(self, name: str, point: str, request: Request, frame: bytes) -> bytes:
        """Exception 2 for a read that touches the point: its registers are a hole."""
        touched = any(_overlap(_place(one), request) for one in self._points[name] if one.name == point)
        return _refused(frame, ILLEGAL_ADDRESS) if touched else frame

    def _without_values(self, name: str, point: str, request: Request, frame: bytes) -> bytes:
        """The answer with what the device sends when it has no value, in the place of each point."""
        if frame[_FUNCTION] & 0x80:
            return frame
        image = bytearray(frame)
        for one in self._points[name]:
            place = _place(one)
            if point not in ("", one.name) or place.space.holds_bits or not _overlap(place, request):
                continue
            absent, begin = _absent(place), 2 * (place.start - request.address)
            for offset, byte in enumerate(absent):
                if 0 <= begin + offset < 2 * request.count:
                    image[_DATA + begin + offset] = byte
        return bytes(image)


class _Unit:
    """One device of an endpoint, as the board sees it."""

    protocol = "modbus"

    def __init__(self, endpoint: FaultyModbus, points: Sequence[str]) -> None:
        self.points = points
        self.begin = endpoint.begin
        self.end = endpoint.end


def _place(point: ServedPoint) -> PointSettings:
    return cast(PointSettings, point.settings)


def _overlap(place: PointSettings, request: Request) -> bool:
    return (
        FUNCTION[place.space] == request.function
        and place.start < request.address + request.count
        and request.address < place.start + place.words
    )


def _absent(place: PointSettings) -> bytes:
    """The point's "no value"; all ones where its settings name none, as most devices have it."""
    try:
        return encode(place, float("nan"))
    except EncodeError:
        return b"\xff" * (2 * place.words)


def _refused(frame: bytes, code: int) -> bytes:
    return frame[:4] + b"\0\x03" + frame[_UNIT : _UNIT + 1] + bytes([frame[_FUNCTION] | 0x80, code])


def _mangled(kind: FaultKind, frame: bytes) -> bytes:
    """corrupt: the byte count is wrong, as if some were lost. truncate: the second half is missing."""
    image = bytearray(frame)
    if kind is FaultKind.CORRUPT:
        image[8] ^= 0x55
    elif kind is FaultKind.WRONG_UNIT:
        image[_UNIT] = (image[_UNIT] + 1) % 256
    elif kind is FaultKind.WRONG_TRANSACTION:
        image[0] ^= 0x40
    else:
        del image[len(image) // 2 :]
    return bytes(image)
