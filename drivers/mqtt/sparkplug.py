"""Sparkplug B as a host application: births name aliases, deaths end devices, gaps ask for a rebirth.

Pure: messages in, values and wishes out. A node's state is known from its NBIRTH on; each of its messages
carries the next number of 0 to 255. What is missed cannot be asked for, but a rebirth brings all metrics
again (Sparkplug 3.0 specification, chapters 4 and 6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drivers.base import Fault, FaultCode, Quality
from drivers.mqtt.codec import Field, Rows, stamp, take
from drivers.mqtt.sparkplug_codec import BOOLEAN, Metric, SparkplugPayload, decode_payload, encode_payload

PREFIX = "spBv1.0/"
_ASK_AGAIN_NS = 10 * 1_000_000_000
"""A rebirth is many messages: a node is asked no more often than this."""
Place = tuple[str, str, str]
"""Group, edge node, and device; '' for the node's own metrics."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of our devices. fields: where its metrics go, by metric name."""

    device: str
    fields: Mapping[str, Field]


@dataclass(slots=True)
class Heard:
    """What a message means beside its values. rebirth: the node to ask, if it must be asked."""

    lost: list[tuple[str, Fault]] = field(default_factory=list)
    rebirth: tuple[str, str] | None = None
    malformed: bool = False


@dataclass(slots=True)
class _Node:
    """seq: of the newest message, None until a birth. bd_seq: the birth's number, which its death repeats."""

    seq: int | None = None
    bd_seq: float | None = None
    names: dict[int, str] = field(default_factory=dict)
    asked_ns: int | None = None


class Host:
    """The nodes of a broker that our devices belong to."""

    def __init__(self, members: Mapping[Place, Sequence[Member]]) -> None:
        self._members = members
        self._nodes = {place[:2]: _Node() for place in members}

    @property
    def filters(self) -> list[str]:
        """A node's messages are numbered together, so all of them are heard."""
        return [
            f"{PREFIX}{group}/{kind}"
            for group, node in self._nodes
            for kind in (
                f"NBIRTH/{node}",
                f"NDATA/{node}",
                f"NDEATH/{node}",
                f"DBIRTH/{node}/+",
                f"DDATA/{node}/+",
                f"DDEATH/{node}/+",
            )
        ]

    def forget(self) -> None:
        """The broker was lost: the state of every node is unknown until its next birth."""
        self._nodes = {place: _Node() for place in self._nodes}

    def unborn(self, now_ns: int) -> list[tuple[str, str]]:
        """Nodes whose birth was not heard and that are due to be asked for it."""
        return [place for place, node in self._nodes.items() if node.seq is None and _may_ask(node, now_ns)]

    def hear(self, topic: str, data: bytes | None, now_ns: int, columns: dict[str, Rows]) -> Heard:
        """Put a message's values into the columns of our devices. columns: by device."""
        heard = Heard()
        levels = topic.split("/", 4)
        if len(levels) < 4 or (levels[1], levels[3]) not in self._nodes:
            return heard
        group, kind, name = levels[1:4]
        place = (group, name, levels[4] if len(levels) > 4 else "")
        node = self._nodes[group, name]
        try:
            payload = decode_payload(data or b"")
        except ValueError as error:
            heard.malformed = True
            self._refuse(place, f"no Sparkplug B payload: {error}", now_ns, columns)
            return heard
        if kind.endswith("DEATH"):
            self._die(kind, place, node, payload, heard)
            return heard
        whole = self._number(kind, node, payload)
        whole &= self._values(place, node, payload, now_ns, columns)
        if not whole and _may_ask(node, now_ns):
            heard.rebirth = (group, name)
        return heard

    def _number(self, kind: str, node: _Node, payload: SparkplugPayload) -> bool:
        """Follow the node's count; False when something was missed."""
        if kind == "NBIRTH":
            node.names.clear()
            node.seq, node.asked_ns, node.bd_seq = payload.seq, None, _bd_seq(payload)
            return True
        known = node.seq is not None and payload.seq == (node.seq + 1) % 256
        if node.seq is not None:
            node.seq = payload.seq
        return known

    def _values(
        self, place: Place, node: _Node, payload: SparkplugPayload, now_ns: int, columns: dict[str, Rows]
    ) -> bool:
        """Take the values; False when an alias has no name."""
        named = True
        members = self._members.get(place, ())
        for metric in payload.metrics:
            if metric.name and metric.alias is not None:
                node.names[metric.alias] = metric.name
            name = metric.name or node.names.get(-1 if metric.alias is None else metric.alias, "")
            named &= bool(name)
            for member in members:
                if name in member.fields:
                    rows = columns.setdefault(member.device, Rows())
                    _put(member.fields[name], metric, payload.time_ms, now_ns, rows)
        return named

    def _die(self, kind: str, place: Place, node: _Node, payload: SparkplugPayload, heard: Heard) -> None:
        if kind == "DDEATH":
            if not self._number(kind, node, payload):
                heard.rebirth = place[:2]
            fault = Fault(FaultCode.NO_ANSWER, f"edge node {place[1]} says that {place[2]} is gone (DDEATH)")
            heard.lost = [(member.device, fault) for member in self._members.get(place, ())]
            return
        told = _bd_seq(payload)
        if node.bd_seq is not None and told is not None and told != node.bd_seq:
            return  # the late Last Will of an earlier connection
        node.seq = None
        fault = Fault(FaultCode.NO_ANSWER, f"edge node {place[1]} is gone (NDEATH)")
        heard.lost = [
            (member.device, fault)
            for other, members in self._members.items()
            if other[:2] == place[:2]
            for member in members
        ]

    def _refuse(self, place: Place, reason: str, now_ns: int, columns: dict[str, Rows]) -> None:
        for member in self._members.get(place, ()):
            rows = columns.setdefault(member.device, Rows())
            for wanted in member.fields.values():
                rows.add_bad(wanted.row, now_ns, Quality.BAD_VALUE, reason)


def rebirth_request(group: str, node: str, time_ms: int) -> tuple[str, bytes]:
    """Topic and payload of the one command we send."""
    wish = Metric("Node Control/Rebirth", time_ms=time_ms, datatype=BOOLEAN, value=1.0)
    return f"{PREFIX}{group}/NCMD/{node}", encode_payload([wish], time_ms)


def _put(wanted: Field, metric: Metric, sent_ms: int | None, now_ns: int, rows: Rows) -> None:
    at_ms = metric.time_ms if metric.time_ms is not None else sent_ms
    time, quality = (now_ns, Quality.GOOD) if at_ms is None else stamp(at_ms, now_ns, Quality.GOOD)
    take(wanted, metric.value, time, quality, rows)


def _bd_seq(payload: SparkplugPayload) -> float | None:
    found = (metric.value for metric in payload.metrics if metric.name == "bdSeq")
    return next((value for value in found if isinstance(value, float)), None)


def _may_ask(node: _Node, now_ns: int) -> bool:
    """True at most every ten seconds; asking is noted."""
    if node.asked_ns is not None and 0 <= now_ns - node.asked_ns < _ASK_AGAIN_NS:
        return False
    node.asked_ns = now_ns
    return True
