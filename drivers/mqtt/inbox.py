"""Messages on their way from paho's thread to the event loop: bounded in number and in bytes.

When it is full, a message of QoS 0 is dropped and counted, for nobody will send it again; one of QoS 1 makes
the network thread wait, so that the broker keeps what we cannot take. Nothing else happens in that thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Message(NamedTuple):
    """A message as it came. payload: None when it was larger than allowed. session: which connection."""

    topic: str
    payload: bytes | None
    size: int
    qos: int
    mid: int
    retained: bool
    arrived_ns: int
    session: int


@dataclass(slots=True)
class Counts:
    """What the inbox saw since the start."""

    received: int = 0
    dropped: int = 0
    oversize: int = 0
    malformed: int = 0
    unrouted: int = 0


class Inbox:
    """put() belongs to the network thread, take() to the event loop.

    notify: called from the network thread when the first message comes into an empty inbox.
    """

    def __init__(self, notify: Callable[[], None], *, max_messages: int = 10_000, max_bytes: int = 32 << 20):
        self.counts = Counts()
        self._notify = notify
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages: list[Message] = []
        self._bytes = 0
        self._open = True
        self._room = threading.Condition()

    def put(self, message: Message) -> bool:
        """Take the message in; False when it was dropped."""
        weight = len(message.payload or b"")
        with self._room:
            self.counts.received += 1
            if message.payload is None:
                self.counts.oversize += 1
            while self._open and self._full(weight):
                if message.qos == 0:
                    self.counts.dropped += 1
                    return False
                self._room.wait(1.0)
            if not self._open:
                return False
            first = not self._messages
            self._messages.append(message)
            self._bytes += weight
        if first:
            self._notify()
        return True

    def take(self) -> list[Message]:
        """Everything that waits, oldest first."""
        with self._room:
            taken, self._messages = self._messages, []
            self._bytes = 0
            self._room.notify_all()
        return taken

    def close(self) -> None:
        """Let a waiting network thread go; later messages are refused."""
        with self._room:
            self._open = False
            self._room.notify_all()

    def _full(self, weight: int) -> bool:
        if not self._messages:
            return False
        return len(self._messages) >= self._max_messages or self._bytes + weight > self._max_bytes
