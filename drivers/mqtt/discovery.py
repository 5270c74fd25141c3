"""From topics that were heard to devices and points that they may be. Pure; see `listening` for the topics.

What a preset recognises is ready for use; of everything else a point is a candidate, whose unit nobody sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from drivers.mqtt.codec import walk
from drivers.mqtt.listening import HeardTopic, Shape, listen, separator_of
from drivers.mqtt.presets import PRESETS, Preset
from drivers.mqtt.sparkplug import PREFIX
from drivers.mqtt.sparkplug_codec import decode_payload
from drivers.mqtt.topics import parse_path

_MOST_POINTS = 200
_PARTS = {"id": "(?P<id>.+)", "channel": r"(?P<channel>\d+)", "base": "(?P<base>.+)"}


@dataclass(frozen=True, slots=True)
class FoundPoint:
    """name: as its sender calls it. keys: as a configuration has them. known: a preset gives the rest."""

    name: str
    keys: Mapping[str, Any]
    value: float | str | bool | None
    known: bool = False


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """id: the sender's name of it. keys: of the device in a configuration, without its link and points."""

    id: str
    keys: Mapping[str, Any]
    preset: str | None
    points: tuple[FoundPoint, ...]
    topics: tuple[str, ...]


@dataclass(slots=True)
class _Group:
    heard: dict[str, HeardTopic] = field(default_factory=dict)


def find_devices(heard: Sequence[HeardTopic]) -> list[FoundDevice]:
    """Devices behind these topics: of presets first, then of Sparkplug B, then one for each other topic."""
    by_preset: dict[tuple[str, str, str], _Group] = {}
    rest: list[HeardTopic] = []
    for one in heard:
        match = detect_preset(one.topic)
        if match is None:
            rest.append(one)
        else:
            by_preset.setdefault(match, _Group()).heard[one.topic] = one
    found = [_of_preset(*match, group.heard) for match, group in sorted(by_preset.items())]
    sparkplug = [one for one in rest if one.topic.startswith(PREFIX)]
    plain = [one for one in rest if not one.topic.startswith(PREFIX)]
    said = {one.topic for one in plain if _is_availability(one.topic, [device.id for device in found])}
    devices = [*found, *_of_sparkplug(sparkplug), *(_of_topic(one) for one in plain if one.topic not in said)]
    return [device for device in devices if device.points]


def detect_preset(topic: str) -> tuple[str, str, str] | None:
    """(preset, id, channel) of a topic on which a sender that we know sends values; else None."""
    for name, preset in PRESETS.items():
        for pattern in _patterns(preset):
            match = pattern.fullmatch(topic)
            if match is None or (name == "zigbee2mqtt" and _is_bridge(match["id"])):
                continue
            return name, match["id"], match.groupdict().get("channel") or "0"
    return None


def _is_bridge(name: str) -> bool:
    """Zigbee2MQTT's own topics, and those of a device that are no values."""
    return name.split("/")[0] == "bridge" or name.split("/")[-1] in ("availability", "set", "get")


def _is_availability(topic: str, ids: Iterable[str]) -> bool:
    templates = [
        str(preset.device["availability"]["topic"])
        for preset in PRESETS.values()
        if "availability" in preset.device
    ]
    return any(
        topic == template.replace("{id}", name).replace("{base}", "zigbee2mqtt")
        for name in ids
        for template in templates
    )


def _patterns(preset: Preset) -> Iterator[re.Pattern[str]]:
    templates = {
        str(preset.device["topic"]),
        *(str(p["topic"]) for p in preset.points.values() if "topic" in p),
    }
    for template in sorted(templates):
        parts = {**_PARTS, "base": re.escape(str(preset.device.get("base", "")))}
        pieces = re.split(r"\{(\w+)\}", template)
        made = [parts[p] if n % 2 else re.escape(p).replace(r"\+", "[^/]+") for n, p in enumerate(pieces)]
        yield re.compile("".join(made))


def _of_preset(name: str, device: str, channel: str, heard: Mapping[str, HeardTopic]) -> FoundDevice:
    preset = PRESETS[name]
    keys: dict[str, Any] = {"preset": name, "id": device}
    if channel != "0":
        keys["channel"] = int(channel)
    points: list[FoundPoint] = []
    taken: set[tuple[str, str]] = set()
    for point, known in preset.points.items():
        pattern = re.escape(str(known.get("topic", preset.device["topic"])))
        for part, value in {"id": device, "channel": channel, "base": preset.device.get("base", "")}.items():
            pattern = pattern.replace(re.escape(f"{{{part}}}"), re.escape(str(value)))
        pattern = pattern.replace(r"\+", "[^/]+")
        for topic in heard:
            value = _value(heard[topic], known.get("json")) if re.fullmatch(pattern, topic) else None
            if value is not None:
                points.append(FoundPoint(point, {}, value, known=True))
                taken.add((topic, str(known.get("json", ""))))
    if preset.any_point is not None:
        root = preset.any_point.replace("{point}", "")
        for topic, one in heard.items():
            points += [
                FoundPoint(path.removeprefix(root), {"json": path}, value)
                for path, value in _leaves(one.payload)
                if path.startswith(root) and (topic, path) not in taken
            ]
    return FoundDevice(device, keys, name, tuple(points), tuple(heard))


def _of_topic(one: HeardTopic) -> FoundDevice:
    name = one.topic.rpartition("/")[2] or one.topic
    return FoundDevice(one.topic, {"topic": one.topic}, None, tuple(_candidates(one, name)), (one.topic,))


def _candidates(one: HeardTopic, name: str) -> Iterator[FoundPoint]:
    if one.shape in (Shape.OBJECT, Shape.LIST):
        for path, value in _leaves(one.payload):
            yield FoundPoint(path, {"json": path}, value)
    elif one.shape is Shape.NUMBER:
        yield FoundPoint(name, {"payload": "raw"}, float(one.payload))
    elif one.shape is Shape.WORD and one.payload.strip().lower() in (b"on", b"off", b"true", b"false"):
        yield FoundPoint(name, {"payload": "raw", "kind": "state"}, one.payload.strip().decode())
    elif one.shape is Shape.COLUMNS:
        line = one.payload.decode().splitlines()[0]
        separator = separator_of(line) or ","
        for column, cell in enumerate(line.split(separator)[:_MOST_POINTS], 1):
            keys: dict[str, Any] = {"csv": column}
            yield FoundPoint(
                f"column_{column}", keys | ({} if separator == "," else {"separator": separator}), cell
            )


def _of_sparkplug(heard: Sequence[HeardTopic]) -> Iterator[FoundDevice]:
    """A device for each that was born or sent named metrics while we listened."""
    found: dict[tuple[str, str, str], dict[str, FoundPoint]] = {}
    topics: dict[tuple[str, str, str], list[str]] = {}
    for one in heard:
        levels = one.topic.split("/", 4)
        if one.shape is not Shape.SPARKPLUG or len(levels) < 4 or levels[2].endswith(("CMD", "DEATH")):
            continue
        place = (levels[1], levels[3], levels[4] if len(levels) > 4 else "")
        topics.setdefault(place, []).append(one.topic)
        for metric in decode_payload(one.payload).metrics[:_MOST_POINTS]:
            if metric.name and metric.name != "bdSeq" and isinstance(metric.value, float):
                point = FoundPoint(metric.name, {"metric": metric.name}, metric.value)
                found.setdefault(place, {})[metric.name] = point
    for (group, node, device), points in sorted(found.items()):
        keys = {"group": group, "node": node} | ({"device": device} if device else {})
        told = tuple(topics[group, node, device])
        yield FoundDevice(device or node, {"sparkplug": keys}, None, tuple(points.values()), told)


def _value(one: HeardTopic, path: object) -> float | str | bool | None:
    """What a preset's point would find in this message; None for nothing."""
    if path is None:
        return one.payload.decode("utf-8", "replace").strip() or None
    try:
        found = walk(orjson.loads(one.payload), parse_path(str(path)))
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, str | bool | int | float) else None


def _leaves(payload: bytes) -> list[tuple[str, float | bool]]:
    """Numbers and truths of a JSON payload by path."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return []
    return list(_walk(document, ""))[:_MOST_POINTS]


def _walk(node: object, path: str) -> Iterator[tuple[str, float | bool]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if not set(key) & set(".[]") and key:
                yield from _walk(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _walk(value, f"{path}[{place}]")
    elif isinstance(node, bool | int | float):
        yield path, node


__all__ = ["FoundDevice", "FoundPoint", "detect_preset", "find_devices", "listen"]
