"""Modbus through pymodbus' own clients: serial lines, RTU over TCP, and TCP under an untested pymodbus.

Two habits are added. After any timeout the line is closed and opened again, because RTU has no transaction id
and a late answer would be taken for the next one's. And what came in is counted, so that silence and noise
(wrong baud rate, missing termination) are told apart.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import struct
from collections.abc import Callable
from typing import Any, Final

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse
from pymodbus.transport import CommParams, CommType

from drivers.modbus.backoff import Backoff
from drivers.modbus.client import (
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    IdentifyRequest,
    ReadRequest,
    Request,
    WriteRequest,
)
from drivers.modbus.errors import ExceptionAnswer, Garbled, NoAnswer, NotConnected
from drivers.modbus.settings import RtuLinkSettings, TcpLinkSettings

_PARITY: Final = {"none": "N", "even": "E", "odd": "O"}
TracePacket = Callable[[bool, bytes], bytes]


class _StockClient:
    """One request at a time, closed after whatever was no clean answer."""

    def __init__(
        self, make: Callable[[TracePacket], ModbusBaseClient], peer: str, reconnect_max: float
    ) -> None:
        self._make = make
        self._peer = peer
        self._line = asyncio.Lock()
        self._client: ModbusBaseClient | None = None
        self._backoff = Backoff(reconnect_max)
        self._received = 0
        self._closed = False

    async def ask(self, request: Request) -> bytes:
        async with self._line:
            client = await self._open()
            self._received = 0
            try:
                answer = await _ask(client, request)
            except ModbusException as error:
                self._drop()
                if self._received:
                    raise Garbled(
                        f"{self._received} bytes that are no answer of unit {request.unit}"
                    ) from error
                raise NoAnswer(f"unit {request.unit} silent") from error
            except BaseException:
                self._drop()  # cancelled in mid-request: the answer may still come
                raise
        if isinstance(answer, ExceptionResponse):
            raise ExceptionAnswer(answer.exception_code)
        return _payload(answer, request)

    def close(self) -> None:
        self._closed = True
        self._drop()

    async def _open(self) -> ModbusBaseClient:
        if self._client is not None and self._client.connected:
            return self._client
        if self._closed:
            raise NotConnected(f"{self._peer} is closed")
        if self._backoff.waiting:
            raise NotConnected(self._why_not())
        self._drop()
        client = self._make(self._trace)
        if not await client.connect():
            client.close()
            self._backoff.failed()
            raise NotConnected(self._why_not())
        self._backoff.succeeded()
        self._client = client
        return client

    def _why_not(self) -> str:
        return f"no connection to {self._peer}"

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _trace(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            self._received += len(data)
        return data


class StockTcpClient(_StockClient):
    """pymodbus' TCP client, for either framing; encrypted with `tls`."""

    def __init__(self, settings: TcpLinkSettings, tls: ssl.SSLContext | None = None) -> None:
        framer = FramerType.RTU if settings.framer == "rtu" else FramerType.SOCKET

        def make(trace: TracePacket) -> ModbusBaseClient:
            return _TcpOrTls(
                settings.host,
                framer=framer,
                port=settings.port,
                tls=tls,
                timeout=settings.timeout,
                retries=0,
                reconnect_delay=0,
                trace_packet=trace,
            )

        super().__init__(make, settings.endpoint, settings.reconnect_max)


class _TcpOrTls(AsyncModbusTcpClient):
    """pymodbus' own TLS client has a framer of its own, which breaks on answers in pieces."""

    def __init__(
        self, host: str, *, port: int, tls: ssl.SSLContext | None, timeout: float, **more: Any
    ) -> None:
        if tls is not None:
            self.comm_params = CommParams(
                comm_name="modbus-tls",
                comm_type=CommType.TLS,
                reconnect_delay=0,
                timeout_connect=timeout,
                host=host,
                port=port,
                sslctx=tls,
            )
        super().__init__(host, port=port, timeout=timeout, **more)


class RtuClient(_StockClient):
    """pymodbus' serial client."""

    def __init__(self, settings: RtuLinkSettings) -> None:
        def make(trace: TracePacket) -> ModbusBaseClient:
            return AsyncModbusSerialClient(
                settings.port,
                baudrate=settings.baudrate,
                parity=_PARITY[settings.parity],
                stopbits=settings.stopbits,
                bytesize=settings.bytesize,
                timeout=settings.timeout,
                retries=0,
                reconnect_delay=0,
                trace_packet=trace,
            )

        super().__init__(make, settings.port, settings.reconnect_max)

    def _why_not(self) -> str:
        """pymodbus does not tell why a port could not be opened."""
        if not os.path.exists(self._peer):  # noqa: PTH110 - pyserial takes URLs too, which are no paths
            return f"{self._peer} cannot be opened: there is no such port"
        if not os.access(self._peer, os.R_OK | os.W_OK):
            return f"{self._peer} cannot be opened: the service may not use it (group dialout?)"
        return f"{self._peer} cannot be opened: is another program using it?"


async def _ask(client: ModbusBaseClient, request: Request) -> ModbusPDU:
    """The request by pymodbus' own method for it."""
    if isinstance(request, IdentifyRequest):
        return await client.read_device_information(
            read_code=request.code, object_id=request.first, device_id=request.unit
        )
    if isinstance(request, WriteRequest):
        return await _write(client, request)
    assert isinstance(request, ReadRequest)  # noqa: S101 - there is no fourth kind
    read = {
        1: client.read_coils,
        2: client.read_discrete_inputs,
        3: client.read_holding_registers,
        4: client.read_input_registers,
    }[request.function]
    return await read(request.address, count=request.count, device_id=request.unit)


async def _write(client: ModbusBaseClient, request: WriteRequest) -> ModbusPDU:
    if request.function == WRITE_COIL:
        return await client.write_coil(request.address, bool(request.data[0]), device_id=request.unit)
    if request.function == WRITE_COILS:
        return await client.write_coils(
            request.address, [bool(b) for b in request.data], device_id=request.unit
        )
    words = list(struct.unpack(f">{request.count}H", request.data))
    if request.function == WRITE_REGISTER:
        return await client.write_register(request.address, words[0], device_id=request.unit)
    return await client.write_registers(request.address, words, device_id=request.unit)


def _payload(answer: ModbusPDU, request: Request) -> bytes:
    """The data bytes that pymodbus took apart, put together again."""
    if isinstance(answer, ReadDeviceInformationResponse):
        objects = sorted(answer.information.items())
        head = bytes([answer.conformity, answer.more_follows, answer.next_object_id, len(objects)])
        return head + b"".join(bytes([key, len(text)]) + text for key, text in objects)
    if not isinstance(request, ReadRequest):
        return b""
    if request.function in (1, 2):
        bits = answer.bits[: request.count]
        complete = len(bits) == request.count
        payload = sum(bit << place for place, bit in enumerate(bits)).to_bytes(request.answer_size, "little")
    else:
        complete = len(answer.registers) == request.count
        payload = struct.pack(f">{len(answer.registers)}H", *answer.registers)
    if not complete:
        raise Garbled(f"an answer of another length than the {request.count} asked for")
    return payload
