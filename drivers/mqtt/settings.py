"""What a configuration may say of an MQTT broker session, its devices and their points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from drivers.base import Settings

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)?\s*")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}
_SIZE = re.compile(r"\s*(\d+)\s*(KiB|MiB|B)?\s*")
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "B": 1, None: 1}
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
TEMPLATE_PARTS = ("device", "point")


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value)
    if not found:
        raise ValueError(f"{value!r} is no duration: write for example 30s, 5min or 7d")
    return float(found[1]) * _SECONDS[found[2]]


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if not found:
        raise ValueError(f"{value!r} is no size: write for example 65536, 64KiB or 1MiB")
    return int(found[1]) * _BYTES[found[2]]


Seconds = Annotated[float, BeforeValidator(_seconds)]
Size = Annotated[int, BeforeValidator(_bytes)]


class TlsSettings(Settings):
    """TLS to the broker, always verified. ca: its authority (else the system's). cert, key: who we are."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if self.key is not None and self.cert is None:
            raise ValueError("tls: key without cert: write both, or neither")
        return self


class LinkSettings(Settings):
    """One session with one broker.

    port: 1883, or 8883 with tls, unless given. client_id: must be this gateway's alone and stay the same,
    for the broker keeps the session under it; default 'heyzack-<host name>-<link>'. persistent: the broker
    keeps messages of QoS 1 while the gateway is away; with version 5 for `session_expiry`. qos: the most that
    is asked for; QoS 2 is not offered because it is acknowledged before the store has the message.
    max_payload: larger payloads are refused. connect_timeout: how long one attempt may take [s].
    """

    host: str = Field(min_length=1)
    port: int = Field(1883, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    client_id: str | None = Field(None, min_length=1, max_length=65535)
    tls: TlsSettings | None = None
    version: Literal["3.1.1", "5"] = "3.1.1"
    keepalive: Annotated[Seconds, Field(ge=5, le=65535)] = 30.0
    persistent: bool = True
    session_expiry: Annotated[Seconds, Field(ge=0, le=0xFFFFFFFE)] = 7 * 86_400.0
    qos: Literal[0, 1] = 1
    max_payload: Annotated[Size, Field(ge=1, le=64 << 20)] = 256 << 10
    reconnect_max: Annotated[Seconds, Field(ge=1, le=3600)] = 30.0
    connect_timeout: Annotated[Seconds, Field(ge=0.1, le=60)] = 5.0

    @model_validator(mode="before")
    @classmethod
    def _fill_port(cls, given: object) -> object:
        if isinstance(given, Mapping) and given.get("port") is None and given.get("tls") is not None:
            return {**given, "port": 8883}
        return given

    @field_validator("version", mode="before")
    @classmethod
    def _read_version(cls, value: object) -> object:
        # YAML reads a bare 5 as a number.
        return str(value) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("password without username: MQTT sends no password without a user name")
        return self

    @property
    def endpoint(self) -> tuple[str, int]:
        return self.host, self.port


class DeviceSettings(Settings):
    """One sender.

    topic: where it sends, with {device} for its name in this configuration and {point} for the point's;
    the wildcards + and # are allowed. timestamp: JSON path of the time of measurement in its messages
    (ISO 8601, or seconds, milliseconds, microseconds or nanoseconds since 1970); else arrival is the time.
    """

    topic: str | None = None
    timestamp: str | None = None

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, text: str | None) -> str | None:
        return None if text is None else check_template(text)

    @field_validator("timestamp")
    @classmethod
    def _check_timestamp(cls, text: str | None) -> str | None:
        return None if text is None else _check_path(text)


class PointSettings(Settings):
    """Where in which message a point's value is: value = number * scale + offset.

    topic: else the device's. json: the path in a JSON payload ('temperature', 'ENERGY.Total', 'probes[1].t');
    without it the whole payload is the value (`payload: raw`). values: words that stand for numbers, in
    addition to true/on = 1 and false/off = 0 ({open: 1, closed: 0}). timestamp: else the device's.
    """

    topic: str | None = None
    json_path: str | None = Field(None, alias="json")
    payload: Literal["json", "raw"] | None = None
    scale: float = Field(1.0, allow_inf_nan=False)
    offset: float = Field(0.0, allow_inf_nan=False)
    values: Mapping[str, float] = Field(default_factory=dict)
    timestamp: str | None = None

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, text: str | None) -> str | None:
        return None if text is None else check_template(text)

    @field_validator("json_path", "timestamp")
    @classmethod
    def _check_json(cls, text: str | None) -> str | None:
        return None if text is None else _check_path(text)

    @field_validator("scale")
    @classmethod
    def _check_scale(cls, scale: float) -> float:
        if scale == 0:
            raise ValueError("scale 0 would make every value 0: leave it out, or write the factor")
        return scale

    @field_validator("values", mode="before")
    @classmethod
    def _read_words(cls, value: object) -> object:
        # YAML reads the keys true and false as booleans and 1 as a number; payloads have them as text.
        if not isinstance(value, Mapping):
            return value
        return {str(word).lower(): number for word, number in value.items()}

    @model_validator(mode="after")
    def _check_payload(self) -> Self:
        if self.payload == "raw" and self.json_path is not None:
            raise ValueError("payload: raw has no path: leave out either 'payload' or 'json'")
        if self.payload == "json" and self.json_path is None:
            raise ValueError("payload: json needs the path of the value: add for example json: temperature")
        return self


def check_template(text: str) -> str:
    """A topic filter with named parts, as it was; raises ValueError when it can match nothing."""
    for part in re.findall(r"\{([^}]*)\}", text):
        if part not in TEMPLATE_PARTS:
            raise ValueError(
                f"topic {text!r}: {{{part}}} is unknown; use {{device}}, {{point}} or the wildcard +"
            )
    plain = text.replace("{device}", "d").replace("{point}", "p")
    if not plain or "{" in plain or "}" in plain or "\0" in plain:
        raise ValueError(f"topic {text!r} is empty or has an unpaired brace")
    levels = plain.split("/")
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            raise ValueError(f"topic {text!r}: # stands alone as the last level")
        if "+" in level and level != "+":
            raise ValueError(f"topic {text!r}: + stands alone in its level")
    return text


def parse_path(text: str) -> tuple[str | int, ...]:
    """Keys and indices of a JSON path: 'probes[1].t' is ('probes', 1, 't')."""
    steps: list[str | int] = []
    place = 0
    while place < len(text):
        if text[place] == "." and steps and place + 1 < len(text) and text[place + 1] not in ".[":
            place += 1
        found = _STEP.match(text, place)
        if not found:
            raise ValueError(f"{text!r} is no JSON path: write keys and indices, for example probes[1].t")
        steps.append(int(found[1]) if found[1] is not None else found[2])
        place = found.end()
    if not steps:
        raise ValueError("a JSON path is empty: write for example temperature")
    return tuple(steps)


def _check_path(text: str) -> str:
    parse_path(text)
    return text
