"""What a device taught us, as a text that outlives the process."""

from __future__ import annotations

import json
from typing import Any, Final

from drivers.modbus.plan import Learned
from drivers.modbus.settings import Table

KEPT_S: Final = 86_400.0
"""Everything learned is asked again after a day: a firmware update or another meter may have brought it."""

Lesson = tuple[Learned, float]
"""What is known, and since when [UTC s]."""


def to_text(identity: str, lesson: Lesson) -> str:
    """identity: which unit at which endpoint this is true of."""
    learned, since_s = lesson
    return json.dumps(
        {
            "of": identity,
            "since": round(since_s),
            "max_registers": learned.max_registers,
            "max_bits": learned.max_bits,
            "fences": sorted([str(table), address] for table, address in learned.fences),
            "holes": sorted([str(table), start, words] for table, start, words in learned.holes),
        }
    )


def from_text(identity: str, text: str | None, now_s: float) -> Lesson | None:
    """The lesson; None when there is none, it is of another unit, older than a day or no text of ours.

    A lesson from the future is of a clock that was wrong: its age is unknown, so it is not believed.
    """
    try:
        note: dict[str, Any] = json.loads(text or "{}")
        if note.get("of") != identity or not 0 <= now_s - note["since"] < KEPT_S:
            return None
        learned = Learned(
            int(note["max_registers"]),
            int(note["max_bits"]),
            frozenset((Table(table), int(address)) for table, address in note["fences"]),
            frozenset((Table(table), int(start), int(words)) for table, start, words in note["holes"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return learned, float(note["since"])
