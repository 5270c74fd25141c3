"""Looking around on a broker: which topics are alive, what their payloads are, how often they come."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import orjson

from drivers.base import Fault
from drivers.mqtt.inbox import Inbox, Message
from drivers.mqtt.session import Session
from drivers.mqtt.settings import LinkSettings
from drivers.mqtt.sparkplug import PREFIX
from drivers.mqtt.sparkplug_codec import decode_payload

MOST_TOPICS = 10_000
"""A broker of a whole campus has more; then the first that speak are told."""
_DRAIN_S = 0.1


class Shape(StrEnum):
    """What a payload is, as far as can be told from one."""

    OBJECT = "json object"
    LIST = "json list"
    NUMBER = "number"
    WORD = "word"
    COLUMNS = "text columns"
    SPARKPLUG = "sparkplug b"
    BINARY = "binary"
    EMPTY = "empty"
    OVERSIZE = "oversize"


@dataclass(frozen=True, slots=True)
class HeardTopic:
    """A topic and its newest payload. every_s: mean time between those sent while we listened."""

    topic: str
    shape: Shape
    payload: bytes
    messages: int
    retained: bool
    every_s: float | None


async def listen(
    settings: LinkSettings, pattern: str, seconds: float, heard: Callable[[int], None] = lambda topics: None
) -> list[HeardTopic]:
    """Listen to a broker under a client id of our own, leaving the gateway's session alone.

    heard: called with the number of topics so far, for a progress bar. Raises OSError when the broker could
    not be reached or refused us, LinkError when certificates cannot be used.
    """
    own = {"client_id": f"heyzack-scan-{os.getpid()}", "persistent": False, "qos": 0, "status_topic": None}
    faults: list[Fault | None] = []
    inbox, notes = Inbox(lambda: None), _Notes()
    session = Session("scan", settings.model_copy(update=own), time.time_ns, inbox, faults.append)
    session.use([pattern])
    session.start()
    try:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(_DRAIN_S, left))
            notes.add(inbox.take())
            heard(len(notes))
    finally:
        inbox.close()
        await asyncio.to_thread(session.stop)
    if None not in faults:
        last = faults[-1] if faults else None
        raise OSError(last.detail if last else f"no answer from {settings.host} within {seconds:g} s")
    if session.refused:
        raise OSError(f"the broker refuses {pattern}: {session.refused.get(pattern, 'not authorized')}")
    return notes.topics()


def shape_of(topic: str, payload: bytes | None) -> Shape:
    """What a payload is. None: it was larger than allowed."""
    if payload is None:
        return Shape.OVERSIZE
    if not payload.strip():
        return Shape.EMPTY
    if topic.startswith(PREFIX) and _is_sparkplug(payload):
        return Shape.SPARKPLUG
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return _shape_of_text(payload)
    if isinstance(document, dict | list):
        return Shape.OBJECT if isinstance(document, dict) else Shape.LIST
    return (
        Shape.NUMBER if isinstance(document, int | float) and not isinstance(document, bool) else Shape.WORD
    )


def _shape_of_text(payload: bytes) -> Shape:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return Shape.BINARY
    if not all(c.isprintable() or c in "\t\r\n" for c in text):
        return Shape.BINARY
    if separator_of(text) is not None:
        return Shape.COLUMNS
    return Shape.WORD


def separator_of(text: str) -> str | None:
    """What separates the columns of a text line, if it has columns and at least one is a number."""
    for separator in (";", "\t", "|", ","):
        cells = text.splitlines()[0].split(separator)
        if len(cells) > 1 and any(_is_number(cell.replace(",", ".")) for cell in cells):
            return separator
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_sparkplug(payload: bytes) -> bool:
    try:
        decode_payload(payload)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class _Note:
    newest: Message
    messages: int = 0
    live: int = 0
    first_ns: int = 0
    last_ns: int = 0


class _Notes:
    """What was heard of each topic."""

    def __init__(self) -> None:
        self._notes: dict[str, _Note] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, messages: Iterable[Message]) -> None:
        for message in messages:
            note = self._notes.get(message.topic)
            if note is None:
                if len(self._notes) >= MOST_TOPICS:
                    continue
                note = self._notes[message.topic] = _Note(message)
            note.newest = message
            note.messages += 1
            if not message.retained:
                note.live += 1
                note.first_ns = note.first_ns or message.arrived_ns
                note.last_ns = message.arrived_ns

    def topics(self) -> list[HeardTopic]:
        return [_told(topic, note) for topic, note in sorted(self._notes.items())]


def _told(topic: str, note: _Note) -> HeardTopic:
    every = (note.last_ns - note.first_ns) / 1e9 / (note.live - 1) if note.live > 1 else None
    payload = note.newest.payload
    return HeardTopic(topic, shape_of(topic, payload), payload or b"", note.messages, note.live == 0, every)
