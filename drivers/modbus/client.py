"""What the driver asks of a connection, whichever way the frames travel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol


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


class Client(Protocol):
    """One connection: made when first asked, and again after a loss, no sooner than its backoff allows."""

    async def read(self, request: ReadRequest) -> bytes:
        """The data bytes of the answer, as sent. Raises RequestError."""
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

    async def read(self, request: ReadRequest) -> bytes:
        async with self._line:
            try:
                return await self._client.read(request)
            finally:
                await asyncio.sleep(self._pause)

    def close(self) -> None:
        self._client.close()
