"""Modbus TCP on pymodbus' transport, framed by transaction id. The only file that leans on its internals.

pymodbus' own client holds a lock around each request, builds an object for each frame, and waits its whole
timeout when the peer hangs up. Here an answer finds its request by transaction id, requests may overlap where
a device can bear it, late or foreign answers are dropped, and a lost connection fails what is under way.

Leaned on: `ModbusProtocol` (transport.py) - `call_create`, `transport`, `connection_made`, `data_received`,
`connection_lost`, `close`. For a version not in `TESTED` the stock client is used instead (stock.py);
tests/drivers/modbus/test_modbus_tcp.py compares the two on the same server.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
import struct
from functools import partial
from typing import Any, Final

import pymodbus
from pymodbus.transport import CommParams, CommType
from pymodbus.transport.transport import ModbusProtocol

from drivers.modbus.backoff import Backoff
from drivers.modbus.client import Client, Request
from drivers.modbus.errors import (
    Distrusted,
    ExceptionAnswer,
    Garbled,
    HungUp,
    NoAnswer,
    NotConnected,
    Refused,
    RequestError,
)
from drivers.modbus.security import CLOSED_AT_ONCE, handshake_failure, is_about_certificate, tls_context
from drivers.modbus.settings import TcpLinkSettings
from drivers.modbus.stock import StockTcpClient

TESTED: Final = ("3.16.1",)
"""pymodbus versions whose transport this file was compared with."""

_log = logging.getLogger(__name__)
_HEADER: Final = struct.Struct(">HHHB")
_MAX_LENGTH: Final = 254
"""Unit, function and at most 252 bytes: a longer "length" means that we lost the frame boundary."""
_TIMEOUTS_TO_CLOSE: Final = 3
"""Unanswered requests in a row, of any unit, after which the connection itself is doubted (half-open TCP)."""


def tcp_client(settings: TcpLinkSettings) -> Client:
    """The transaction-id client; the stock one for RTU frames and under a pymodbus it was not tested with.

    Reads certificates. Raises LinkError.
    """
    tls = tls_context(settings.tls) if settings.tls else None
    if settings.framer == "rtu":
        return StockTcpClient(settings)
    if pymodbus.__version__ in TESTED:
        return TcpClient(settings, tls)
    _log.warning(
        "pymodbus %s is not one of the tested versions (%s): using its own client, which is slower",
        pymodbus.__version__,
        ", ".join(TESTED),
    )
    return StockTcpClient(settings, tls)


class _Pending:
    """A request under way."""

    __slots__ = ("answer", "deadline", "discarded", "request")

    def __init__(
        self, request: Request, answer: asyncio.Future[bytes], deadline: asyncio.TimerHandle
    ) -> None:
        self.request = request
        self.answer = answer
        self.deadline = deadline
        self.discarded = 0


class _Connection(ModbusProtocol):
    """The frames of one connection; made anew for each attempt."""

    def __init__(self, settings: TcpLinkSettings, tls: ssl.SSLContext | None) -> None:
        params = CommParams(
            comm_name="modbus-tcp",
            comm_type=CommType.TLS if tls else CommType.TCP,
            sslctx=tls,
            reconnect_delay=0,
            timeout_connect=settings.connect_timeout,
            host=settings.host,
            port=settings.port,
        )
        super().__init__(params, is_server=False)
        if settings.tls is not None and settings.tls.server_name:
            create: Any = self.call_create
            self.call_create = partial(create, server_hostname=settings.tls.server_name)
        self._timeout = settings.timeout
        self._pending: dict[int, _Pending] = {}
        self._received = bytearray()
        self._last_id = 0
        self._silent = 0
        self._has_answered = False

    async def establish(self) -> None:
        """Connect. Raises NotConnected; pymodbus' own connect() would hide the reason."""
        try:
            async with asyncio.timeout(self.comm_params.timeout_connect):
                self.transport, _ = await self.call_create()
        except TimeoutError:
            raise NotConnected(
                f"no connection to {self._peer} within {self.comm_params.timeout_connect:g} s"
            ) from None
        except ssl.SSLError as error:
            raise handshake_failure(self._peer, error) from error
        except OSError as error:
            raise _not_connected(self._peer, error) from error

    @property
    def alive(self) -> bool:
        return bool(self.transport)

    async def ask(self, request: Request) -> bytes:
        transaction = self._free_id()
        answer: asyncio.Future[bytes] = self.loop.create_future()
        deadline = self.loop.call_later(self._timeout, self._expire, transaction)
        self._pending[transaction] = _Pending(request, answer, deadline)
        pdu = request.pdu
        header = _HEADER.pack(transaction, 0, len(pdu) + 1, request.unit)
        self.transport.write(header + pdu)  # type: ignore[attr-defined]
        try:
            return await answer
        finally:
            deadline.cancel()
            self._pending.pop(transaction, None)

    # --- called by asyncio through pymodbus' transport

    def callback_new_connection(self) -> ModbusProtocol:
        return self

    def callback_connected(self) -> None:
        """Nothing to send first."""

    def callback_disconnected(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError) and is_about_certificate(exc):
            self._fail_all(handshake_failure(self._peer, exc))
            return
        if self.comm_params.sslctx and not self._has_answered:
            self._fail_all(Distrusted(f"{self._peer} {CLOSED_AT_ONCE}"))
            return
        reason = f"{self._peer} closed the connection" + (f": {exc}" if exc else "")
        self._fail_all(HungUp(reason))

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:
        """Unused: `data_received` frames by itself, for the stock one keeps a single answer in view."""
        return len(data)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while len(received) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(received)
            if protocol or not 2 <= length <= _MAX_LENGTH:
                self._lose_step(f"no Modbus frame: {bytes(received[:16]).hex(' ')}")
                return
            if len(received) < 6 + length:
                return
            body = bytes(received[_HEADER.size : 6 + length])
            del received[: 6 + length]
            self._answer(transaction, unit, body)

    # --- the fate of requests

    def _answer(self, transaction: int, unit: int, body: bytes) -> None:
        self._silent = 0
        self._has_answered = True
        pending = self._pending.get(transaction)
        if pending is None or unit != pending.request.unit:
            for waiting in self._pending.values():
                waiting.discarded += 1
            return
        if pending.answer.done():
            return
        try:
            pending.answer.set_result(payload_of(pending.request, body))
        except RequestError as error:
            pending.answer.set_exception(error)

    def _expire(self, transaction: int) -> None:
        pending = self._pending.get(transaction)
        if pending is None or pending.answer.done():
            return
        self._silent += 1
        if self._received:
            self._lose_step(f"a frame stayed incomplete: {bytes(self._received[:16]).hex(' ')}")
            return
        if pending.discarded:
            pending.answer.set_exception(Garbled(f"{pending.discarded} answers of another request or unit"))
        else:
            pending.answer.set_exception(
                NoAnswer(f"unit {pending.request.unit} silent for {self._timeout:g} s")
            )
        if self._silent >= _TIMEOUTS_TO_CLOSE:
            self.close()

    def _lose_step(self, reason: str) -> None:
        """The frame boundary is lost: only a new connection finds it again."""
        self._received.clear()
        self._fail_all(Garbled(reason))
        self.close()

    def _fail_all(self, error: RequestError) -> None:
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(error)

    def close(self, reconnect: bool = False) -> None:
        super().close(reconnect)
        self._fail_all(NoAnswer("the connection was closed"))

    def _free_id(self) -> int:
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._pending:
                return self._last_id

    @property
    def _peer(self) -> str:
        return f"{self.comm_params.host}:{self.comm_params.port}"


class TcpClient:
    """One endpoint: connects on demand, with backoff; at most `max_in_flight` requests under way."""

    def __init__(self, settings: TcpLinkSettings, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._tls = tls
        self._slots = asyncio.Semaphore(settings.max_in_flight)
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None
        self._backoff = Backoff(settings.reconnect_max)
        self._last_failure = NotConnected("never tried")
        self._closed = False

    async def ask(self, request: Request) -> bytes:
        """The data bytes of the answer. Raises RequestError.

        A device that restarted hangs up on the first request of its old connection: that one is asked again.
        """
        async with self._slots:
            connection = self._connection
            if connection is not None and connection.alive:
                try:
                    return await connection.ask(request)
                except HungUp:
                    if self._closed:
                        raise
            return await (await self._connect()).ask(request)

    def close(self) -> None:
        self._closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _connect(self) -> _Connection:
        async with self._connecting:
            if self._connection is not None and self._connection.alive:
                return self._connection
            if self._closed:
                raise NotConnected("the link is closed")
            if self._backoff.waiting:
                raise type(self._last_failure)(str(self._last_failure))
            connection = _Connection(self._settings, self._tls)
            try:
                await connection.establish()
            except NotConnected as error:
                self._last_failure = error
                self._backoff.failed()
                raise
            self._backoff.succeeded()
            self._connection = connection
            return connection


def _not_connected(peer: str, error: OSError) -> NotConnected:
    """A name with several addresses fails with all their errors in one text and no number."""
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    refused = isinstance(error, ConnectionRefusedError) or f"Errno {errno.ECONNREFUSED}" in reason
    return (Refused if refused else NotConnected)(f"no connection to {peer}: {reason}")


def payload_of(request: Request, body: bytes) -> bytes:
    """The data bytes in an answer's function and data. Raises Garbled or ExceptionAnswer."""
    if body[0] == request.function | 0x80 and len(body) >= 2:
        raise ExceptionAnswer(body[1])
    return request.payload(body)
