"""What devices say of themselves on their availability topics, mostly by their Last Will. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from drivers.base import Fault, FaultCode
from drivers.mqtt.codec import Step, walk

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Watch:
    """How one device says that it is there. path: of the word in JSON; a bare word counts too."""

    device: str
    online: str
    offline: str
    path: tuple[Step, ...] | None = None


class Presence:
    """Which devices said that they are gone. watches: by topic."""

    def __init__(self, watches: Mapping[str, Sequence[Watch]]) -> None:
        self._watches = watches
        self._gone: dict[str, Fault | None] = {}

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(self._watches)

    def hear(self, topic: str, payload: bytes | None) -> list[tuple[str, Fault | None]]:
        """The devices whose state this message changes, with the fault or None for 'is back'."""
        changed: list[tuple[str, Fault | None]] = []
        for watch in self._watches.get(topic, ()):
            word = _word(payload or b"", watch.path)
            if word not in (watch.online.lower(), watch.offline.lower()):
                continue
            fault = None
            if word == watch.offline.lower():
                fault = Fault(FaultCode.NO_ANSWER, f"the device is offline: {topic} says '{word[:_SHOWN]}'")
            if watch.device not in self._gone or self._gone[watch.device] != fault:
                self._gone[watch.device] = fault
                changed.append((watch.device, fault))
        return changed

    def gone(self, device: str) -> Fault | None:
        """Why the device is gone, if it said so."""
        return self._gone.get(device)

    def alive(self, device: str) -> None:
        """The device sent something new: a later 'offline' is news again."""
        if self._gone.get(device) is not None:
            del self._gone[device]

    def forget(self) -> None:
        """The broker was lost: what it says when it is back is news."""
        self._gone.clear()


def _word(payload: bytes, path: tuple[Step, ...] | None) -> str:
    if path is not None:
        try:
            found = walk(orjson.loads(payload), path)
        except orjson.JSONDecodeError:
            pass
        else:
            if isinstance(found, str | bool | int):
                return str(found).lower()
    return payload.decode("utf-8", "replace").strip().strip('"').lower()
