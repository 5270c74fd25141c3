"""What a configuration says about a Modbus link, device and point: parsed once, never guessed.

A point's place is written in exactly one of two ways. `register` is the zero-based address that travels on
the wire (with `table`, holding by default). `address` is the Modicon form of the manuals, five or six digits,
one-based, whose first digit is the table. Every error says what to write instead; the loader adds file:line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from drivers.base import Settings
from drivers.modbus.types import REGISTER_TYPES, RegisterType, WordOrder


class Table(StrEnum):
    """The four address spaces of a Modbus device."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def holds_bits(self) -> bool:
        return self in (Table.COIL, Table.DISCRETE)


_MODICON_TABLE: Final = {"0": Table.COIL, "1": Table.DISCRETE, "3": Table.INPUT, "4": Table.HOLDING}
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)?\s*")
_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_TLS_PORT: Final = 802
_PARITIES: Final = ("none", "even", "odd")
_TYPE_ALIASES: Final = {
    **{f"uint{bits}": f"u{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"i{bits}" for bits in (16, 32, 64)},
    **{f"s{bits}": f"i{bits}" for bits in (16, 32, 64)},
    "float": "f32", "float32": "f32", "real": "f32", "double": "f64", "float64": "f64", "bool": "bit",
    "bcd": "bcd16", "acc32": "u32", "sunssf": "i16",
}  # fmt: skip
_ORDERS: Final = {
    "ABCD": WordOrder.ABCD, "AB": WordOrder.ABCD, "ABCDEFGH": WordOrder.ABCD,
    "CDAB": WordOrder.CDAB, "GHEFCDAB": WordOrder.CDAB,
    "BADC": WordOrder.BADC, "BA": WordOrder.BADC, "BADCFEHG": WordOrder.BADC,
    "DCBA": WordOrder.DCBA, "HGFEDCBA": WordOrder.DCBA,
}  # fmt: skip


def seconds(value: object) -> object:
    """A duration as seconds: 0.5, 10, "500ms", "10s", "5min". Raises ValueError for anything else."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if not match:
            raise ValueError(f"'{value}' is no duration; write seconds, or like '500ms', '10s', '5min'")
        return float(match[1]) * _SECONDS[match[2]]
    return value


def _one_of(value: object, known: Iterable[str], what: str, meant: str | None = None) -> str:
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    near = [meant] if meant else get_close_matches(str(value).lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"use one of {', '.join(names)}"
    raise ValueError(f"{what} '{value}' is unknown; {hint}")


def _table(value: object) -> object:
    return _one_of(value, list(Table), "table")


def _type(value: object) -> object:
    return _one_of(value, list(RegisterType), "type", _TYPE_ALIASES.get(str(value).lower()))


def _order(value: object) -> object:
    text = str(value)
    if text.upper() in _ORDERS:
        return _ORDERS[text.upper()]
    near = get_close_matches(text.upper(), [order.value for order in WordOrder], n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else "use ABCD, CDAB, BADC or DCBA"
    raise ValueError(f"word order '{value}' is unknown; {hint}")


def _parity(value: object) -> object:
    meant = {"n": "none", "e": "even", "o": "odd"}.get(str(value).lower())
    return _one_of(value, _PARITIES, "parity", meant)


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]


class _LinkSettings(Settings):
    """timeout: wait for one answer [s]. retries: asked again after a timeout or a garbled answer.
    pause: the turnaround delay, silence after each answer [s], for gateways that choke. reconnect_max: the
    longest wait between attempts to connect [s]."""

    timeout: Duration = 1.0
    retries: int = Field(default=0, ge=0, le=5)
    pause: Annotated[float, BeforeValidator(seconds), Field(ge=0)] = 0.0
    reconnect_max: Duration = 5.0


class TlsSettings(Settings):
    """Modbus/TCP Security, always verified.

    ca: the authority that signed the device's certificate (else the system's). cert, key: who we are, for
    devices that ask. server_name: the name in the device's certificate, when it is reached by another.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if self.key is not None and self.cert is None:
            raise ValueError("tls: key without cert: write both, or neither")
        return self


class TcpLinkSettings(_LinkSettings):
    """One Modbus TCP endpoint: a device, or a gateway to a serial bus.

    port: 502, or 802 with tls, unless given. framer: `rtu` for serial converters that pass RTU frames through
    a socket as they are. max_in_flight: requests under way at once. 1 suits every device; many answer
    pipelined requests late, out of order or not at all, so raise it only for one known to cope.
    """

    host: str = Field(min_length=1)
    port: int = Field(default=502, ge=1, le=65535)
    connect_timeout: Duration = 3.0
    framer: Literal["socket", "rtu"] = "socket"
    tls: TlsSettings | None = None
    max_in_flight: int = Field(default=1, ge=1, le=32)

    @model_validator(mode="before")
    @classmethod
    def _usual_port(cls, keys: Any) -> Any:
        if isinstance(keys, dict) and keys.get("tls") is not None and "port" not in keys:
            return keys | {"port": _TLS_PORT}
        return keys

    @model_validator(mode="after")
    def _fits_framer(self) -> Self:
        if self.framer == "rtu" and self.max_in_flight > 1:
            raise ValueError("RTU frames have no transaction id: leave out 'max_in_flight' with framer rtu")
        if self.framer == "rtu" and self.tls is not None:
            raise ValueError("converters do not encrypt RTU frames: leave out 'tls' or 'framer'")
        return self

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{self.port}"


class RtuLinkSettings(_LinkSettings):
    """One serial line. One garbled frame in an hour is normal on RS-485, hence one retry.

    silent_interval: the silence that separates frames [s], by default what the standard says: 3.5 characters,
    1.75 ms above 19200 baud.
    """

    port: str = Field(min_length=1)
    baudrate: int = Field(default=19200, ge=300, le=4_000_000)
    parity: Annotated[Literal["none", "even", "odd"], BeforeValidator(_parity)] = "even"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[7, 8] = 8
    silent_interval: Duration | None = None
    retries: int = Field(default=1, ge=0, le=5)

    @property
    def character_s(self) -> float:
        """Time on the wire of one character: start bit, data, parity, stop bits [s]."""
        return (1 + self.bytesize + (self.parity != "none") + self.stopbits) / self.baudrate

    @property
    def silence_s(self) -> float:
        """Silence kept between frames [s]."""
        if self.silent_interval is not None:
            return self.silent_interval
        return 3.5 * self.character_s if self.baudrate <= 19200 else 1.75e-3

    @property
    def endpoint(self) -> str:
        return self.port


class DeviceSettings(Settings):
    """One unit on a link.

    max_registers, max_bits: the longest read it accepts; shrunk by itself when the device refuses.
    """

    unit_id: int = Field(default=1, ge=0, le=255)
    max_registers: int = Field(default=125, ge=1, le=125)
    max_bits: int = Field(default=2000, ge=1, le=2000)


class PointSettings(Settings):
    """Where a point lies and how its bytes read. value = raw * scale + offset.

    bit: one bit of a register, 0 the least significant; with `bits`, so many from there as one number.
    sf: the register (same table) with the power of ten that the value is multiplied by, as SunSpec has it.
    not_available: the raw value that means "no value" (ABB's 0xFFFFFFFF), as a number; or `auto`: all ones
    for unsigned, the largest positive for signed, NaN for floats; or `sunspec`: the same, but the most
    negative for signed.
    """

    register_: int | None = Field(default=None, alias="register", ge=0, le=65535)
    address: int | str | None = None
    table: Annotated[Table, BeforeValidator(_table)] | None = None
    type: Annotated[RegisterType, BeforeValidator(_type)] | None = None
    order: Annotated[WordOrder, BeforeValidator(_order)] = WordOrder.ABCD
    bit: int | None = Field(default=None, ge=0, le=15)
    bits: int = Field(default=1, ge=1, le=16)
    sf: int | None = Field(default=None, ge=0, le=65535)
    scale: float = Field(default=1.0, allow_inf_nan=False)
    offset: float = Field(default=0.0, allow_inf_nan=False)
    not_available: int | float | Literal["auto", "sunspec"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_place()
        self._check_type()
        if self.scale == 0:
            raise ValueError("scale is 0: every value would be the same")
        if self.start + self.words > 65536:
            raise ValueError(f"a {self.decoded_type} at register {self.start} ends beyond 65535")
        return self

    def _check_place(self) -> None:
        if (self.register_ is None) == (self.address is None):
            raise ValueError("write exactly one of 'register' (zero-based) and 'address' (Modicon, 40001...)")
        if self.address is not None:
            table, _ = modicon(self.address)
            if self.table not in (None, table):
                raise ValueError(f"address {self.address} lies in table {table}, not {self.table}")

    def _check_type(self) -> None:
        kind = self.decoded_type
        if self.space.holds_bits and (kind is not RegisterType.BIT or self.bit is not None):
            raise ValueError(f"a {self.space} holds one bit: leave out 'type' and 'bit'")
        if not self.space.holds_bits and (kind is RegisterType.BIT) != (self.bit is not None):
            raise ValueError("a bit of a register needs type 'bit' and its number, as in 'bit: 3'")
        if self.bits > 1 and (self.bit is None or self.bit + self.bits > 16):
            raise ValueError("'bits' counts from 'bit' and ends within the register, as in 'bit: 4, bits: 3'")
        if self.sf is not None and kind is RegisterType.BIT:
            raise ValueError("a bit has no scale factor: leave out 'sf'")

    @property
    def space(self) -> Table:
        """The table, however it was written."""
        if self.address is not None:
            return modicon(self.address)[0]
        return self.table or Table.HOLDING

    @property
    def start(self) -> int:
        """The zero-based address on the wire, however it was written."""
        if self.address is not None:
            return modicon(self.address)[1]
        assert self.register_ is not None  # noqa: S101 - exactly one is set
        return self.register_

    @property
    def decoded_type(self) -> RegisterType:
        """The type, u16 where none is written for a register and bit where only a bit can be meant."""
        if self.type is not None:
            return self.type
        return RegisterType.BIT if self.space.holds_bits or self.bit is not None else RegisterType.U16

    @property
    def words(self) -> int:
        """Registers (or bits) the point occupies."""
        return REGISTER_TYPES[self.decoded_type].words


def modicon(address: int | str) -> tuple[Table, int]:
    """Table and zero-based address of a Modicon address: 40001 and 400001 are holding register 0.

    Coil addresses begin with 0 and must be quoted ('00017'), else YAML reads a shorter number.
    Raises ValueError.
    """
    text = str(address).strip()
    if not (text.isdecimal() and len(text) in (5, 6)):
        raise ValueError(
            f"address '{address}' has not five or six digits; write register: N for a plain number"
        )
    if text[0] not in _MODICON_TABLE:
        raise ValueError(f"address '{address}' begins with {text[0]}; 0, 1, 3 and 4 are the Modicon tables")
    number = int(text[1:])
    if not 1 <= number <= 65536:
        raise ValueError(f"address '{address}' is outside 1-65536; Modicon addresses count from 1")
    return _MODICON_TABLE[text[0]], number - 1
