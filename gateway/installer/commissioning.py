"""The commissioning report: every point with its test value, quality and signature, as one printable page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment

from gateway.installer.signoff import SignOff, definition
from gateway.site import Installation, PointSpec


@dataclass(frozen=True, slots=True)
class Line:
    """One point of the report. state: signed, changed (since its signature) or open."""

    point: str
    description: str
    source: str
    value: str
    unit: str
    quality: str
    good: bool
    detail: str
    state: str
    by: str
    when: str


@dataclass(frozen=True, slots=True)
class Section:
    """One device of the report."""

    device: str
    description: str
    address: str
    template: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """What a point said when the report was made. value: as people read it."""

    value: str
    unit: str
    quality: str
    good: bool
    detail: str = ""


def line(point: PointSpec, tested: Tested, signature: SignOff | None) -> Line:
    """A point's line; a signature from before its definition changed does not count."""
    state = "open"
    if signature is not None:
        state = "signed" if signature.definition == definition(point) else "changed"
    source = point.source.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return Line(
        point.name, point.description, " ".join(f"{key}={value}" for key, value in source.items()),
        tested.value, tested.unit, tested.quality, tested.good, tested.detail, state,
        signature.by if signature else "", signature.time if signature else "",
    )  # fmt: skip


def sections(
    installation: Installation,
    tested: Mapping[tuple[str, str], Tested],
    signatures: Mapping[tuple[str, str], SignOff],
) -> list[Section]:
    """Every device and point of an installation, in the order of the configuration."""
    return [
        Section(
            device.name, device.description, device.address, device.template,
            tuple(line(p, tested[p.key], signatures.get(p.key)) for p in device.points),
        )
        for device in installation.devices.values()
    ]  # fmt: skip


def to_html(installation: Installation, parts: Sequence[Section], made: str) -> str:
    """The report as one HTML page that needs nothing else and prints on A4."""
    lines = [one for part in parts for one in part.lines]
    page = files("gateway.installer").joinpath("commissioning.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(page)
    return template.render(
        site=installation.site,
        sections=parts,
        made=made,
        total=len(lines),
        good=sum(one.good for one in lines),
        signed=sum(one.state == "signed" for one in lines),
    )
