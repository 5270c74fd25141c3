"""A device map as data, and as the YAML of `devices/*.yaml`: what scans, CSV and EDE files become."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode

WIDTH: Final = 110
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./+°µ²³][A-Za-z0-9_./+ °µ²³()-]*(?<! )")
_RESOLVER: Final = YAML(typ="safe", pure=True).resolver


@dataclass(frozen=True, slots=True)
class MapPoint:
    """One point. keys: as a configuration has them. comment: for whoever reads the file.

    dropped: the template's point of this name is not wanted (`name: false`).
    """

    name: str
    keys: Mapping[str, Any]
    comment: str = ""
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class MapDevice:
    """One device. keys: without its points. candidates: points to confirm, written as comments.

    A device with neither points nor a template is written wholly as a comment: it cannot run yet.
    """

    name: str
    keys: Mapping[str, Any]
    points: tuple[MapPoint, ...] = ()
    candidates: tuple[MapPoint, ...] = ()
    comments: tuple[str, ...] = field(default=())

    @property
    def runs(self) -> bool:
        return bool(self.points or "template" in self.keys)


def to_yaml(devices: Iterable[MapDevice], heading: Iterable[str] = ()) -> str:
    """The text of a device file. Every value reads back as it is (held by a property test)."""
    blocks = ["\n".join(_comment(line) for line in heading)] if heading else []
    blocks += ["\n".join(_device(device)) for device in devices]
    return "\n\n".join(block for block in blocks if block) + "\n"


def scalar(value: Any) -> str:
    """A value as it stands in a flow mapping: plain where YAML 1.2 reads the same text back, else quoted."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(str(key))}: {scalar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(scalar(item) for item in value) + "]"
    text = str(value)
    return text if _stays_text(text) else _quoted(text)


def _stays_text(text: str) -> bool:
    if not _PLAIN.fullmatch(text) or text != text.strip():
        return False
    tag = _RESOLVER.resolve(ScalarNode, text, (True, False))
    return str(tag).endswith(":str")


def _quoted(text: str) -> str:
    """JSON's quoting is YAML's, except for characters that JSON leaves alone and YAML does not print.

    '${' is a reference in a configuration wherever it stands; '$${' is the text.
    """
    plain = json.dumps(text.replace("${", "$${"), ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 65536 else f"\\U{ord(c):08x}"
                   for c in plain)  # fmt: skip


def _device(device: MapDevice) -> list[str]:
    lines = [f"{scalar(device.name)}:"]
    lines += [f"  {scalar(key)}: {scalar(value)}" for key, value in device.keys.items()]
    if device.points or device.candidates:
        lines.append("  points:" if device.points or not device.runs else "  # points:")
    lines += [f"    {_point(point)}" for point in device.points]
    lines += [f"    {'# ' if device.runs else ''}{_point(point)}" for point in device.candidates]
    if not device.runs:
        lines = [f"# {line}" for line in lines]
    return [*(_comment(line) for line in device.comments), *lines]


def _point(point: MapPoint) -> str:
    text = f"{scalar(point.name)}: {'false' if point.dropped else scalar(point.keys)}"
    return f"{text}   {_comment(point.comment)}" if point.comment else text


def _comment(text: str) -> str:
    """One comment line: a device's own text must not break out of it."""
    return "# " + "".join(c if c.isprintable() else " " for c in text) if text else "#"
