"""The plan: which topics to subscribe to, and which points each message feeds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from paho.mqtt.matcher import MQTTMatcher

from drivers.base import Batch, Device, Fault, FaultCode, Point
from drivers.mqtt.codec import Field, Form, Program, Rows
from drivers.mqtt.forms import packed_record, text_lines
from drivers.mqtt.presence import Watch
from drivers.mqtt.settings import DeviceSettings, PointSettings
from drivers.mqtt.sparkplug import PREFIX, Host, Member, Place
from drivers.mqtt.topics import parse_path


@dataclass(frozen=True, slots=True)
class Route:
    """Messages under one topic filter that feed points of one device."""

    filter: str
    device: str
    program: Program


class Plan:
    """Compiled once per configuration, run for every message.

    filters: one subscription each, those covered by a wider one left out. points: by plan row. watches: by
    topic, the devices that say there whether they are available. sparkplug: the nodes of Sparkplug B.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self.points: tuple[Point, ...] = tuple(point for device in devices for point in device.points)
        sources = [_point_settings(point) for point in self.points]
        self._series = np.array([point.series for point in self.points], np.int32)
        self._scale = np.array([source.scale for source in sources], np.float64)
        self._offset = np.array([source.offset for source in sources], np.float64)
        self.row_of = {point.series: row for row, point in enumerate(self.points)}
        self.topic_of: dict[int, str] = {}
        self.series_of: dict[str, NDArray[np.int32]] = {}
        self._exact: dict[str, list[Route]] = {}
        self._wild = MQTTMatcher()  # type: ignore[no-untyped-call]
        self._has_wild = False
        row = 0
        members: dict[Place, list[Member]] = {}
        for device in devices:
            count = len(device.points)
            self.series_of[device.name] = self._series[row : row + count]
            told = _device_settings(device).sparkplug
            if told is None:
                self._add(device, range(row, row + count))
            else:
                place = (told.group, told.node, told.device or "")
                members.setdefault(place, []).append(self._member(device, place, row))
            row += count
        self.sparkplug = Host(members)
        self.watches = _watches(devices)
        routed = (topic for topic in self.topic_of.values() if not topic.startswith(PREFIX))
        self.filters = _widest([*routed, *self.watches, *self.sparkplug.filters])

    def routes(self, topic: str) -> Sequence[Route]:
        """The routes of a message; one dictionary look-up unless wildcards are configured."""
        exact = self._exact.get(topic, ())
        if not self._has_wild:
            return exact
        matching = self._wild.iter_match(topic)  # type: ignore[no-untyped-call]
        return [*exact, *(route for routes in matching for route in routes)]

    def batch(self, rows: Rows) -> Batch:
        """Rows as a batch, in the points' source units."""
        at = np.array(rows.row, np.intp)
        return Batch(
            series=self._series[at],
            time=np.array(rows.time, np.int64),
            value=np.array(rows.value, np.float64) * self._scale[at] + self._offset[at],
            quality=np.array(rows.quality, np.uint8),
        )

    def faults(self, rows: Rows) -> dict[int, Fault]:
        """By series id, why rows are bad; the newest reason of each point."""
        return {
            self.points[row].series: Fault(FaultCode.BAD_PAYLOAD, reason)
            for row, reason in rows.reasons.items()
        }

    def _add(self, device: Device, rows: range) -> None:
        by_filter: dict[str, list[int]] = {}
        for row in rows:
            topic = _topic(device, self.points[row])
            self.topic_of[self.points[row].series] = topic
            by_filter.setdefault(topic, []).append(row)
        for topic, members in by_filter.items():
            program = _program(device, {row: self.points[row] for row in members})
            route = Route(topic, device.name, program)
            if "+" in topic or "#" in topic:
                self._has_wild = True
                self._listed(topic).append(route)
            else:
                self._exact.setdefault(topic, []).append(route)

    def _member(self, device: Device, place: Place, first: int) -> Member:
        """A Sparkplug device's metrics by name, and the topic they are expected on."""
        group, node, name = place
        topic = f"{PREFIX}{group}/DDATA/{node}/{name}" if name else f"{PREFIX}{group}/NDATA/{node}"
        fields: dict[str, Field] = {}
        for row, point in enumerate(device.points, first):
            source = _point_settings(point)
            self.topic_of[point.series] = topic
            fields[source.metric or point.name] = Field(row, None, dict(source.values), None)
        return Member(device.name, fields)

    def _listed(self, topic: str) -> list[Route]:
        try:
            routes: list[Route] = self._wild[topic]
        except KeyError:
            routes = self._wild[topic] = []
        return routes


def covers(wide: str, narrow: str) -> bool:
    """True when every topic that matches `narrow` matches `wide` (MQTT 3.1.1, section 4.7)."""
    if narrow.startswith("$") != wide.startswith("$"):
        return False
    ours, theirs = wide.split("/"), narrow.split("/")
    for place, level in enumerate(ours):
        if level == "#":
            return True
        if place >= len(theirs) or theirs[place] == "#":
            return False
        if level not in ("+", theirs[place]):
            return False
    return len(ours) == len(theirs)


def _widest(filters: Iterable[str]) -> tuple[str, ...]:
    distinct = sorted(set(filters))
    wild = [f for f in distinct if "+" in f or "#" in f]
    return tuple(f for f in distinct if not any(w != f and covers(w, f) for w in wild))


def _topic(device: Device, point: Point) -> str:
    own = _device_settings(device)
    template = _point_settings(point).topic or own.topic or "{device}/{point}"
    return own.resolve(template, device.name, point.name)


def _watches(devices: Sequence[Device]) -> dict[str, list[Watch]]:
    watches: dict[str, list[Watch]] = {}
    for device in devices:
        own = _device_settings(device)
        told = own.availability
        if told is not None:
            path = None if told.json_path is None else parse_path(told.json_path)
            watch = Watch(device.name, told.online, told.offline, path)
            watches.setdefault(own.resolve(told.topic, device.name), []).append(watch)
    return watches


def _program(device: Device, points: Mapping[int, Point]) -> Program:
    """The program for one topic's points, by plan row."""
    sources = {row: _point_settings(point) for row, point in points.items()}
    own = _device_settings(device)
    plain = {row: source for row, source in sources.items() if source.csv is None and source.struct is None}
    fields = tuple(_field(row, source, own) for row, source in plain.items())
    needs_json = any(field.path is not None or field.timestamp is not None for field in fields)
    return Program(fields, needs_json, (*_lines(sources, own), *_records(sources, own)))


def _field(row: int, source: PointSettings, own: DeviceSettings) -> Field:
    stamp = source.timestamp or (own.timestamp if source.json_path is not None else None)
    return Field(
        row=row,
        path=None if source.json_path is None else parse_path(source.json_path),
        words=dict(source.values),
        timestamp=parse_path(stamp) if isinstance(stamp, str) else None,
    )


def _lines(sources: Mapping[int, PointSettings], own: DeviceSettings) -> Iterable[Form]:
    """One form for each separator; columns are counted from 1 outside and from 0 inside."""
    by_separator: dict[str, list[Field]] = {}
    for row, source in sources.items():
        if source.csv is not None:
            stamp = _place(source, own)
            timestamp = None if stamp is None else (max(stamp - 1, 0),)
            made = Field(row, (source.csv - 1,), dict(source.values), timestamp)
            by_separator.setdefault(source.separator or own.separator, []).append(made)
    for separator, fields in by_separator.items():
        widest = max(int(place) for made in fields for place in (made.path or ()) + (made.timestamp or ()))
        yield Form(text_lines(separator, widest + 1), tuple(fields))


def _records(sources: Mapping[int, PointSettings], own: DeviceSettings) -> Iterable[Form]:
    by_layout: dict[str, list[Field]] = {}
    for row, source in sources.items():
        if source.struct is not None and source.index is not None:
            stamp = _place(source, own)
            made = Field(row, (source.index,), dict(source.values), None if stamp is None else (stamp,))
            by_layout.setdefault(source.struct, []).append(made)
    for layout, fields in by_layout.items():
        yield Form(packed_record(layout), tuple(fields))


def _place(source: PointSettings, own: DeviceSettings) -> int | None:
    """The column or index of the time, if it is told by number."""
    stamp = source.timestamp if source.timestamp is not None else own.timestamp
    return stamp if isinstance(stamp, int) else None


def _point_settings(point: Point) -> PointSettings:
    if not isinstance(point.source, PointSettings):
        raise TypeError(f"{point.device}/{point.name} is no MQTT point: {type(point.source).__name__}")
    return point.source


def _device_settings(device: Device) -> DeviceSettings:
    if not isinstance(device.settings, DeviceSettings):
        raise TypeError(f"{device.name} is no MQTT device: {type(device.settings).__name__}")
    return device.settings
