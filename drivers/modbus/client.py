"""What the driver asks of a connection, whichever way the frames travel."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Final, Protocol

from drivers.modbus.errors import Garbled

_ADDRESSED: Final = struct.Struct(">BHH")
WRITE_COIL: Final = 5
WRITE_REGISTER: Final = 6
WRITE_COILS: Final = 15
WRITE_REGISTERS: Final = 16
IDENTIFY: Final = 43
_IDENTIFICATION: Final = 14


class Request(Protocol):
    """One question to one unit: `pdu` is what is sent after the unit id, the function code first."""

    @property
    def unit(self) -> int: ...

    @property
    def function(self) -> int: ...

    @property
    def pdu(self) -> bytes: ...

    def payload(self, body: bytes) -> bytes:
        """The data bytes in an answer that begins with its function code. Raises Garbled."""
        ...


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Read `count` registers or bits from `address` of a unit, by the function code of their table."""

    unit: int
    function: int
    address: int
    count: int

    @property
    def answer_size(self) -> int:
        """Data bytes of a complete answer."""
        return (self.count + 7) // 8 if self.function in (1, 2) else 2 * self.count

    @property
    def pdu(self) -> bytes:
        return _ADDRESSED.pack(self.function, self.address, self.count)

    def payload(self, body: bytes) -> bytes:
        data = body[2:]
        if body[0] != self.function or len(body) < 2 or body[1] != len(data):
            raise Garbled(f"no answer to function {self.function}: {body[:8].hex(' ')}")
        if len(data) != self.answer_size:
            raise Garbled(f"{len(data)} bytes for {self.count} from {self.address}")
        return data


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Write registers (`data`: their bytes) or coils (`data`: 0 or 1 for each) from `address` of a unit.

    function: 5 and 6 write one, 15 and 16 any number.
    """

    unit: int
    function: int
    address: int
    data: bytes

    @property
    def count(self) -> int:
        return len(self.data) if self.function in (WRITE_COIL, WRITE_COILS) else len(self.data) // 2

    @property
    def pdu(self) -> bytes:
        if self.function == WRITE_COIL:
            return _ADDRESSED.pack(WRITE_COIL, self.address, 0xFF00 if self.data[0] else 0)
        if self.function == WRITE_REGISTER:
            return struct.pack(">BH", WRITE_REGISTER, self.address) + self.data
        data = _packed(self.data) if self.function == WRITE_COILS else self.data
        return _ADDRESSED.pack(self.function, self.address, self.count) + bytes([len(data)]) + data

    def payload(self, body: bytes) -> bytes:
        """Nothing: the answer repeats the beginning of the request."""
        if body != self.pdu[:5]:
            raise Garbled(f"no answer to function {self.function}: {body[:8].hex(' ')}")
        return b""


@dataclass(frozen=True, slots=True)
class IdentifyRequest:
    """Ask a unit who made it (function 43/14): `code` 1 basic, 2 regular objects, from object `first` on."""

    unit: int
    code: int = 1
    first: int = 0

    @property
    def function(self) -> int:
        return IDENTIFY

    @property
    def pdu(self) -> bytes:
        return bytes([IDENTIFY, _IDENTIFICATION, self.code, self.first])

    def payload(self, body: bytes) -> bytes:
        """Conformity, more follows, next object, number of objects, then the objects."""
        if body[:2] != self.pdu[:2] or len(body) < 7:
            raise Garbled(f"no answer to function {IDENTIFY}: {body[:8].hex(' ')}")
        return body[3:]


def _packed(coils: bytes) -> bytes:
    """Eight coils a byte, the first the least significant."""
    return sum(on << place for place, on in enumerate(coils)).to_bytes((len(coils) + 7) // 8, "little")


class Client(Protocol):
    """One connection: made when first asked, and again after a loss, no sooner than its backoff allows."""

    async def ask(self, request: Request) -> bytes:
        """The data bytes of the answer, as sent. Raises RequestError.

        A request may reach the unit twice when its connection was lost meanwhile: all requests there are
        mean the same when repeated.
        """
        ...

    def close(self) -> None:
        """Close for good; requests under way fail."""
        ...


class PacedClient:
    """A client with a silence after each request, for gateways that choke on the next one."""

    def __init__(self, client: Client, pause: float) -> None:
        self._client = client
        self._pause = pause
        self._line = asyncio.Lock()

    async def ask(self, request: Request) -> bytes:
        async with self._line:
            try:
                return await self._client.ask(request)
            finally:
                await asyncio.sleep(self._pause)

    def close(self) -> None:
        self._client.close()
