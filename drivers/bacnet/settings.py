"""What a configuration may say of a BACnet/IP link, its devices and their points."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from drivers.bacnet.names import MAX_INSTANCE, object_type, property_id
from drivers.base import Settings

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h)?\s*")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, None: 1.0}


def _seconds(value: object) -> object:
    """Seconds from a number or from text such as '500ms', '60s', '5min', '1h'."""
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value)
    if not found:
        raise ValueError(f"{value!r} is no duration: write for example 500ms, 60s or 5min")
    return float(found[1]) * _SECONDS[found[2]]


Seconds = Annotated[float, BeforeValidator(_seconds)]
Port = Annotated[int, Field(ge=1, le=65535)]
Instance = Annotated[int, Field(ge=0, le=MAX_INSTANCE)]


def _station(text: str) -> str:
    """Check a station: '10.0.0.7', '10.0.0.7:47809', or 'network:mac' behind a router ('2001:5')."""
    host, _, port = text.partition(":")
    if "." in host:
        try:
            IPv4Address(host)
        except ValueError:
            raise ValueError(
                f"{text!r} is no IPv4 address: write for example 10.0.0.7 or 10.0.0.7:47809"
            ) from None
        if port and not (port.isdigit() and 1 <= int(port) <= 65535):
            raise ValueError(f"{text!r}: the port must be a number from 1 to 65535")
        return text
    if host.isdigit() and 1 <= int(host) <= 65534 and re.fullmatch(r"\d{1,3}|0x[0-9a-fA-F]+", port):
        return text
    raise ValueError(f"{text!r} is no BACnet address: write ip, ip:port, or network:mac (for example 2001:5)")


class BbmdSettings(Settings):
    """The BBMD to register with as a foreign device, when the equipment is on another subnet."""

    address: str
    ttl: Annotated[Seconds, Field(ge=10, le=65535)] = 300

    @field_validator("address")
    @classmethod
    def _check_address(cls, text: str) -> str:
        return _station(text)


class LinkSettings(Settings):
    """One UDP port of this machine, speaking BACnet/IP.

    address: 'ip/mask' of the interface ('10.0.0.5/24'); without a mask /24 is assumed. device_instance:
    the number of the gateway's own device object, unique on the network. apdu_timeout: how long one
    request waits [s]; retries: how often it is sent again. publish: figures of the gateway that are offered
    as its own analog values 1, 2, ... in this order.
    """

    address: str
    port: Port = 47808
    bbmd: BbmdSettings | None = None
    device_instance: Instance = 3056
    device_name: str = "heyzack-gateway"
    apdu_timeout: Annotated[Seconds, Field(ge=0.05, le=60)] = 1.0
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    who_is_timeout: Annotated[Seconds, Field(ge=0.1, le=60)] = 2.0
    publish: tuple[str, ...] = ()

    @field_validator("publish")
    @classmethod
    def _check_publish(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: published twice; each name is one object")
        return names

    @field_validator("address")
    @classmethod
    def _check_address(cls, text: str) -> str:
        if ":" in text:
            raise ValueError(f"{text!r}: write the port as 'port: {text.rpartition(':')[2]}'")
        try:
            interface = IPv4Interface(text if "/" in text else f"{text}/24")
        except ValueError:
            raise ValueError(f"{text!r} is no interface address: write for example 10.0.0.5/24") from None
        if interface.network.prefixlen > 30:
            raise ValueError(
                f"{text!r}: a /{interface.network.prefixlen} has no broadcast address for Who-Is"
            )
        return str(interface)


class DeviceSettings(Settings):
    """One BACnet device.

    address: its static binding; without one it is found by Who-Is. max_batch: points asked for in one
    ReadPropertyMultiple. max_in_flight: requests it is sent at once. status_flags: read each point's
    status flags too, so that faults and overrides become qualities. cov_lifetime: how long a
    change-of-value subscription lives; it is renewed at half of that.
    """

    device_instance: Instance
    address: str | None = None
    max_batch: Annotated[int, Field(ge=1, le=200)] = 50
    max_in_flight: Annotated[int, Field(ge=1, le=16)] = 2
    status_flags: bool = False
    cov_lifetime: Annotated[Seconds, Field(ge=10, le=86400)] = 300
    cov_confirmed: bool = False

    @field_validator("address")
    @classmethod
    def _check_address(cls, text: str | None) -> str | None:
        return None if text is None else _station(text)


class PointSettings(Settings):
    """One property of one object: `object: "analog-input,3"`, the present value unless told otherwise."""

    object: str
    property: str = "present-value"
    array_index: Annotated[int, Field(ge=0)] | None = None

    @field_validator("object")
    @classmethod
    def _check_object(cls, text: str) -> str:
        parse_object(text)
        return text

    @field_validator("property")
    @classmethod
    def _check_property(cls, text: str) -> str:
        property_id(text)
        return text


def parse_object(text: str) -> tuple[int, int]:
    """(type, instance) of 'analog-input,3'; also 'AI3', 'ai:3' and '130,5' for proprietary types."""
    found = re.fullmatch(r"\s*([A-Za-z][A-Za-z_ -]*?|\d+)\s*(?:[,:]\s*|(?<=[A-Za-z])\s*)(\d+)\s*", text)
    if not found:
        raise ValueError(f"{text!r} is no object: write type,instance, for example analog-input,3")
    instance = int(found[2])
    if instance > MAX_INSTANCE:
        raise ValueError(f"{text!r}: an instance is at most {MAX_INSTANCE}")
    return object_type(found[1]), instance
