"""New device templates out of a configured device and what it says, and proof that golden frames decode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.modbus.codec import decode
from drivers.modbus.settings import PointSettings
from drivers.templates import Template
from gateway.installer.devicemap import scalar
from gateway.site import DeviceSpec, PointSpec


@dataclass(frozen=True, slots=True)
class Frame:
    """What a device said for a point: bytes as hex, and the value [the device's unit] read from them."""

    raw: str
    value: float


def template_text(
    device: DeviceSpec, maker: str, model: str, frames: Mapping[str, Frame], source: str
) -> str:
    """The YAML of a template for a Modbus device. Points without a frame are left out, as comments."""
    name = f"{maker.lower()}/{model.lower()}"
    lines = [
        f"# {maker} {model}: `template: {name}`",
        f"manufacturer: {scalar(maker)}",
        f"model: {scalar(model)}",
        "driver: modbus",
        f"source: {scalar(source)}",
        "verified: none",
        "notes:",
        "  - Begun by `heyzack template new`; compare each register with the manual.",
        "points:",
    ]
    missing = [point for point in device.points if point.name not in frames]
    lines += [f"  {scalar(p.name)}: {scalar(_keys(p))}" for p in device.points if p.name in frames]
    lines += [f"  # {scalar(point.name)}: no golden frame, it gave no value" for point in missing]
    lines.append("golden:")
    for point in device.points:
        if (frame := frames.get(point.name)) is not None:
            keys = f"{{raw: {scalar(frame.raw)}, value: {scalar(frame.value)}}}"
            lines.append(f"  {scalar(point.name)}: {keys}")
    return "\n".join(lines) + "\n"


def wrong_frames(template: Template) -> list[str]:
    """Golden frames that do not decode to their value, in words. Modbus only."""
    wrong = []
    for name, frame in template.golden.items():
        settings = template.settings[name]
        if not isinstance(settings, PointSettings):
            continue
        value, quality = decode(settings, frame.raw)
        if abs(value - frame.value) > 1e-6 * max(1.0, abs(frame.value)) or quality:
            wrong.append(f"golden '{name}': {frame.raw.hex(' ', 2)} reads as {value:g}, not {frame.value:g}")
    return wrong


def _keys(point: PointSpec) -> dict[str, Any]:
    own = point.source.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    keys = {**own, "unit": point.source_unit, "quantity": point.quantity}
    if str(point.kind) != "gauge":
        keys["kind"] = str(point.kind)
    if point.description:
        keys["description"] = point.description
    return keys
