"""The sections of a configuration as models: what may be written, and with which type.

A driver's own keys of links, devices and points are not here: they are in `drivers/<name>/settings.py`, and
`gateway.config.build` splits what is written between the two.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from drivers.base import Kind
from gateway.config.errors import did_you_mean
from gateway.config.literals import Duration, Modulus, Size
from gateway.expressions import NAME

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Identifier = Annotated[str, Field(pattern=rf"^{NAME}$")]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(name: str) -> str:
    if name not in _zones():
        city = name.rpartition("/")[2].lower()
        same_city = [zone for zone in _zones() if zone.rpartition("/")[2].lower() == city]
        hint = f"did you mean '{same_city[0]}'?" if same_city else did_you_mean(name, _zones())
        raise ValueError(
            f"time zone '{name}' is unknown; {hint or 'write an IANA name such as Europe/Paris'}"
        )
    ZoneInfo(name)
    return name


class SiteSection(Section):
    """The building. area_m2: floor area [m2], which energy intensity needs."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
    name: str = ""
    timezone: Annotated[str, AfterValidator(_timezone)]
    area_m2: Positive | None = None
    use: str = "office"
    country: Annotated[str, Field(pattern=r"^([A-Z]{2})?$")] = ""
    holidays: Annotated[str, Field(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$")] = ""
    language: Literal["en", "fr"] = "en"


class DeviceSection(Section):
    """The keys every device has. every: 10 s if polled, 60 s if it sends by itself."""

    link: str = ""
    driver: str = ""
    template: str = ""
    every: Duration | None = None
    enabled: bool = True
    description: str = ""


class WriteSection(Section):
    """How a point may be written. Checked, and kept for when commands are switched on."""

    min: Finite | None = None
    max: Finite | None = None
    priority: Annotated[int, Field(ge=1, le=16)] = 12
    lease: Duration = 900.0


class PointSection(Section):
    """The keys every point has. low, high, max_rate: in the point's own unit.

    factor, offset: applied to what the device reports, before the unit is converted. modulus: in the
    device's counts. cov: change of value that is reported at once, in the device's unit. max_rate: the most
    a counter can advance in an hour. heartbeat: how long a change-of-value point holds its value.
    """

    unit: str | None = None
    quantity: str | None = None
    kind: Kind | None = None
    every: Duration | None = None
    factor: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    offset: Finite = 0.0
    low: Finite | None = None
    high: Finite | None = None
    modulus: Modulus | None = None
    max_rate: Positive | None = None
    cov: Positive | None = None
    heartbeat: Duration | None = None
    description: str = ""
    write: WriteSection | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}; swap them")
        if self.factor == 0:
            raise ValueError("factor is 0, so every value would be the same; remove it")
        return self


class RoleSection(Section):
    """A role written out: for roles that are not in the list of known ones."""

    expression: str
    quantity: str | None = None
    kind: Kind | None = None


ZONE_READINGS = ("temperature", "setpoint", "humidity", "co2", "occupancy", "illuminance", "power", "energy")
"""What a zone may have; each names a point."""


class ZoneSection(Section):
    """A zone of the building and the points that tell about it."""

    floor: Annotated[str, BeforeValidator(str)] = ""
    area_m2: Positive | None = None
    temperature: str | None = None
    setpoint: str | None = None
    humidity: str | None = None
    co2: str | None = None
    occupancy: str | None = None
    illuminance: str | None = None
    power: str | None = None
    energy: str | None = None


Day = Annotated[date, WithJsonSchema({"type": "string", "format": "date"})]


class BaselineSection(Section):
    """The baseline period, both dates inclusive."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    from_: Day = Field(alias="from")
    to: Day

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.to < self.from_:
            raise ValueError(f"the baseline ends ({self.to}) before it begins ({self.from_}); swap the dates")
        return self


class KpisSection(Section):
    """Baseline, retrofit, and what differs from the KPI catalogue."""

    baseline: BaselineSection | None = None
    retrofit: Day | None = None
    targets: dict[str, Finite] = {}
    factors: dict[str, str] = {}
    tariff: str | None = None
    every: Duration = 900.0

    @model_validator(mode="after")
    def _baseline_first(self) -> Self:
        if self.baseline and self.retrofit and self.baseline.to >= self.retrofit:
            raise ValueError(
                f"the baseline ends on {self.baseline.to}, not before the retrofit ({self.retrofit}); "
                "end the baseline at least a day earlier: afterwards nothing shows what would have been used"
            )
        return self


class RetentionSection(Section):
    """How long each kind of data is kept. KPI records are kept for ever."""

    raw: Duration = 90 * 86400.0
    intervals: Duration = 5 * 366 * 86400.0
    kpis: Literal["forever"] = "forever"


class StoreSection(Section):
    """Where the store is, relative to the configuration's folder, and how much it may take."""

    path: str = "state"
    max_bytes: Size = 4 << 30
    min_free: Size = 500 << 20
    retention: RetentionSection = RetentionSection()

    @field_validator("max_bytes")
    @classmethod
    def _enough(cls, size: int) -> int:
        if size < 16 << 20:
            raise ValueError(f"{size} bytes are too few to keep an outage; write at least 16MiB")
        return size


class SinkSection(Section):
    """One cloud target. api v2: org, bucket, token. api v1: database, username, password."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+.*$")]
    api: Literal["v1", "v2"] = "v2"
    org: str = ""
    bucket: str = ""
    database: str = ""
    username: str = ""
    token: str = Field(default="", repr=False)
    password: str = Field(default="", repr=False)
    verify_tls: bool = True
    ca: str | None = None
    gzip: bool = True
    settle: Duration = 60.0
    timeout: Duration = 20.0
    batch_lines: Annotated[int, Field(ge=1, le=100_000)] = 5000

    @model_validator(mode="after")
    def _target(self) -> Self:
        needed = "bucket" if self.api == "v2" else "database"
        if not getattr(self, needed):
            raise ValueError(f"a sink with api {self.api} needs a {needed}; add '{needed}: ...'")
        return self


def _listen(given: Any) -> str:
    text = str(given)
    host, colon, port = text.rpartition(":")
    if not (colon and host.strip("[]") and port.isdigit() and 0 <= int(port) <= 65535):
        raise ValueError(f"'{text}' is no address to listen on; write host:port, such as 127.0.0.1:8080")
    return text


class WebSection(Section):
    """Where the page listens."""

    listen: Annotated[str, BeforeValidator(_listen)] = "127.0.0.1:8080"
    anonymous: bool = False


SECTIONS: dict[str, type[Section] | None] = {
    "site": SiteSection,
    "links": None,
    "devices": None,
    "roles": None,
    "zones": ZoneSection,
    "kpis": KpisSection,
    "store": StoreSection,
    "sync": SinkSection,
    "web": WebSection,
}
"""Top-level keys of site.yaml. zones and sync are mappings of names to their model."""


def key_names(model: type[BaseModel]) -> frozenset[str]:
    """The keys a model takes, as they are written."""
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def submodel(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `Model | None`, `list[Model]` or `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = submodel(inner)
        if found is not None:
            return found
    return None
