"""What a configuration may say of an MQTT broker session, its devices and their points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from drivers.base import Settings
from drivers.mqtt.forms import check_layout
from drivers.mqtt.presets import fill_device, fill_point
from drivers.mqtt.topics import check_template, check_topic, parse_path

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)?\s*")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}
_SIZE = re.compile(r"\s*(\d+)\s*(KiB|MiB|B)?\s*")
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "B": 1, None: 1}


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


def _check_path(text: object) -> object:
    if isinstance(text, str):
        parse_path(text)
    return text


Timestamp = Annotated[Annotated[int, Field(ge=0, strict=True)] | str, AfterValidator(_check_path)]
"""Where in a payload the time is: a JSON path, or the column (from 1) or index (from 0) of another form."""
Separator = Annotated[str, Field(min_length=1, max_length=1)]


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


class HomeAssistantSettings(Settings):
    """Show our figures in Home Assistant. site: its id in topics. prefix: the discovery prefix there."""

    site: str = Field(min_length=1, pattern=r"^[^/+#]+$")
    name: str = ""
    prefix: str = Field("homeassistant", min_length=1, pattern=r"^[^+#]+$")


class LinkSettings(Settings):
    """One session with one broker.

    port: 1883, or 8883 with tls, unless given. client_id: must be this gateway's alone and stay the same,
    for the broker keeps the session under it; default 'heyzack-<host name>-<link>'. persistent: the broker
    keeps messages of QoS 1 while the gateway is away; with version 5 for `session_expiry`. qos: the most that
    is asked for; QoS 2 is not offered because it is acknowledged before the store has the message.
    max_payload: larger payloads are refused. connect_timeout: how long one attempt may take [s].
    status_topic: where others see us: 'online' while connected, 'offline' when we leave or are lost (our own
    Last Will), both retained. home_assistant: tell it our figures.
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
    status_topic: str | None = None
    home_assistant: HomeAssistantSettings | None = None

    @field_validator("status_topic")
    @classmethod
    def _check_status_topic(cls, text: str | None) -> str | None:
        if text is not None and (not text or set(text) & set("+#{}\0")):
            raise ValueError(
                f"status_topic {text!r}: write a plain topic, for example heyzack/paris-hq/status"
            )
        return text

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


class AvailabilitySettings(Settings):
    """Where a device, or the broker in its name, says that it is there: the Last Will of most senders.

    online, offline: the words. json: the path of the word in a JSON payload; a bare word is understood too.
    """

    topic: str
    online: str = Field("online", min_length=1)
    offline: str = Field("offline", min_length=1)
    json_path: str | None = Field(None, alias="json")

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, text: str) -> str:
        return check_topic(text)

    @field_validator("json_path")
    @classmethod
    def _check_json(cls, text: str | None) -> str | None:
        _check_path(text)
        return text

    @field_validator("online", "offline", mode="before")
    @classmethod
    def _read_word(cls, value: object) -> object:
        # YAML reads true and 1 as no text; payloads have them as text.
        return str(value).lower() if isinstance(value, bool | int) else value

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        if self.online.lower() == self.offline.lower():
            raise ValueError(f"availability: online and offline are both {self.online!r}; write what differs")
        return self


class SparkplugSettings(Settings):
    """A device of a Sparkplug B edge node. device: left out for the node's own metrics."""

    group: str = Field(min_length=1, pattern=r"^[^/+#]+$")
    node: str = Field(min_length=1, pattern=r"^[^/+#]+$")
    device: str | None = Field(None, min_length=1, pattern=r"^[^/+#]+$")


class DeviceSettings(Settings):
    """One sender.

    preset: a well-known one (`drivers.mqtt.presets`), which fills in what is not written here and in its
    points. topic: where it sends, with the named parts of `drivers.mqtt.topics`; the wildcards + and # are
    allowed. id, base, channel: the values of those parts. availability: where it says that it is there
    (`availability: false` to do without the preset's). sparkplug: it is a device of a Sparkplug B edge node,
    and its points are metrics. timestamp: JSON path of the time of measurement in
    its messages, or for text lines and binary records the column or index (ISO 8601, or seconds,
    milliseconds, microseconds or nanoseconds since 1970); else arrival is the time.
    separator: between the columns of text lines.
    """

    preset: str | None = None
    topic: str | None = None
    id: str | None = Field(None, min_length=1)
    base: str | None = Field(None, min_length=1)
    channel: int = Field(0, ge=0)
    availability: AvailabilitySettings | None = None
    sparkplug: SparkplugSettings | None = None
    timestamp: Timestamp | None = None
    separator: Separator = ","

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        filled = {**given, "availability": None} if given.get("availability") is False else given
        preset = filled.get("preset")
        return fill_device(preset, filled) if isinstance(preset, str) else filled

    @field_validator("id", "base")
    @classmethod
    def _check_part(cls, text: str | None) -> str | None:
        if text is not None and set(text) & set("+#{}\0"):
            raise ValueError(
                f"{text!r}: a part of a topic has no wildcard and no brace; write it as it is sent"
            )
        return text

    @model_validator(mode="after")
    def _check_base(self) -> Self:
        watched = self.availability.topic if self.availability else ""
        if self.base is None and "{base}" in (self.topic or "") + watched:
            raise ValueError("topic: {base} has no value; add for example base: zigbee2mqtt")
        return self

    def point_defaults(self, name: str, own: Mapping[str, object]) -> Mapping[str, object]:
        if self.sparkplug is not None:
            return {} if "metric" in own else {"metric": name}
        return {} if self.preset is None else fill_point(self.preset, name, own)

    def resolve(self, template: str, device: str, point: str = "") -> str:
        """The topic that a template means for this device; a {base} without value is any level."""
        parts = {"device": device, "point": point, "id": self.id or device, "channel": str(self.channel)}
        for part, value in {**parts, "base": self.base or "+"}.items():
            template = template.replace(f"{{{part}}}", value)
        return template

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, text: str | None) -> str | None:
        return None if text is None else check_template(text)


class PointSettings(Settings):
    """Where in which message a point's value is: value = number * scale + offset.

    topic: else the device's. json: the path in a JSON payload ('temperature', 'ENERGY.Total', 'probes[1].t');
    csv: the column of a text line, from 1 as in a spreadsheet; separator: else the device's. struct: the
    layout of a binary record in the letters of Python's struct module, with the byte order ('>hHf'), and
    index: which of its values, from 0. Without any of these the whole payload is the value (`payload: raw`).
    metric: the name of a Sparkplug B metric; the point's name unless given.
    values: words that stand for numbers, in addition to true/on = 1 and false/off = 0 ({open: 1, closed: 0}).
    timestamp: else the device's.
    """

    topic: str | None = None
    json_path: str | None = Field(None, alias="json")
    csv: int | None = None
    separator: Separator | None = None
    struct: str | None = None
    index: int | None = Field(None, ge=0)
    metric: str | None = Field(None, min_length=1)
    payload: Literal["json", "raw"] | None = None
    scale: float = Field(1.0, allow_inf_nan=False)
    offset: float = Field(0.0, allow_inf_nan=False)
    values: Mapping[str, float] = Field(default_factory=dict)
    timestamp: Timestamp | None = None

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, text: str | None) -> str | None:
        return None if text is None else check_template(text)

    @field_validator("json_path")
    @classmethod
    def _check_json(cls, text: str | None) -> str | None:
        _check_path(text)
        return text

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

    @property
    def value_at(self) -> str | None:
        """Where in a payload the value is, in words; None for the whole payload."""
        if self.metric is not None:
            return f"metric {self.metric}"
        if self.csv is not None:
            return f"column {self.csv}"
        return self.json_path if self.struct is None else f"index {self.index} of {self.struct}"

    @field_validator("csv")
    @classmethod
    def _check_column(cls, column: int | None) -> int | None:
        if column is not None and column < 1:
            raise ValueError(f"csv: {column} is no column: they are counted from 1")
        return column

    @model_validator(mode="after")
    def _check_form(self) -> Self:
        named = {"json": self.json_path, "csv": self.csv, "struct": self.struct, "metric": self.metric}
        given = [form for form, value in named.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: a payload has one form; keep the one it has")
        if self.payload == "raw" and given and given != ["json"]:
            raise ValueError(f"payload: raw is the whole payload: leave out either 'payload' or '{given[0]}'")
        if self.separator is not None and self.csv is None:
            raise ValueError("separator without csv: add the column, for example csv: 3")
        if isinstance(self.timestamp, int) and given not in (["csv"], ["struct"]):
            raise ValueError("timestamp: a number is a column or index; for JSON write the path of the time")
        if isinstance(self.timestamp, str) and given in (["csv"], ["struct"]):
            raise ValueError(
                f"timestamp: with {given[0]} write the number of the column or index of the time"
            )
        return self

    @model_validator(mode="after")
    def _check_record(self) -> Self:
        if self.struct is None:
            if self.index is not None:
                raise ValueError("index without struct: add the layout, for example struct: '>hHf'")
            return self
        count = check_layout(self.struct)
        if self.index is None:
            raise ValueError(f"struct {self.struct!r} needs index: 0 to {count - 1}")
        stamp = self.timestamp if isinstance(self.timestamp, int) else 0
        for name, at in (("index", self.index), ("timestamp", stamp)):
            if at >= count:
                raise ValueError(f"{name} {at}: struct {self.struct!r} has {count} values, 0 to {count - 1}")
        return self

    @model_validator(mode="after")
    def _check_payload(self) -> Self:
        if self.payload == "raw" and self.json_path is not None:
            raise ValueError("payload: raw has no path: leave out either 'payload' or 'json'")
        if self.payload == "json" and self.json_path is None:
            raise ValueError("payload: json needs the path of the value: add for example json: temperature")
        return self
