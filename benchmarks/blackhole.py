"""A server that takes every write and keeps nothing, so that only the client is measured.

`python -m benchmarks.blackhole` prints its port and serves until it is told to stop. It reads a request by
its Content-Length, answers 204, and does nothing else.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 204 No Content\r\nX-Influxdb-Version: 2.7.0\r\n\r\n"


class _Taker(asyncio.Protocol):
    """Counts bytes until a request is complete."""

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        while data:
            if self._missing:
                taken = min(self._missing, len(data))
                self._missing -= taken
                data = data[taken:]
                self._answer_when_complete()
                continue
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            length = _LENGTH.search(head)
            self._head, self._missing = b"", int(length[1]) if length else 0
            self._answer_when_complete()

    def _answer_when_complete(self) -> None:
        if not self._missing:
            self._transport.write(_ANSWER)


async def main() -> None:
    """Serve on a free loopback port until ended by a signal."""
    server = await asyncio.get_running_loop().create_server(_Taker, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
