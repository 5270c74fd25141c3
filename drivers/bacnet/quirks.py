"""What was learned of one device, through `drivers.base.Memory`: it outlives the driver and the process.

A quirk is believed for a week and only of the device number it was learned of: a controller that was
swapped or got new firmware gets the chance to show that it can do better.
"""

from __future__ import annotations

from drivers.base import Memory, Now

BELIEVED_FOR_S = 7 * 86400

BATCH = "batch"
"""How many points fit one answer."""
NO_MULTIPLE = "no-read-multiple"
ALL_OR_NOTHING = "all-or-nothing"
"""One bad reference fails the whole request; the value lists the references known to be bad."""
NO_COV = "no-cov"
NO_COV_PROPERTY = "no-cov-property"


class Quirks:
    """The memory of one device. Entries look like `1201 1790000000 12`: instance, UTC second, value."""

    def __init__(self, device: str, instance: int, memory: Memory, now: Now) -> None:
        self._device = device
        self._instance = instance
        self._memory = memory
        self._now = now

    def recall(self, about: str) -> str | None:
        """What is known; None when nothing is, it is too old, or it was another device."""
        instance, _, rest = (self._memory.recall(self._key(about)) or "").partition(" ")
        second, _, value = rest.partition(" ")
        if instance != str(self._instance) or not second.isdigit():
            return None
        age_s = self._now() // 10**9 - int(second)
        return value if -BELIEVED_FOR_S < age_s < BELIEVED_FOR_S else None

    def learn(self, about: str, value: str | None) -> None:
        """Keep `value`; None forgets."""
        entry = None if value is None else f"{self._instance} {self._now() // 10**9} {value}"
        self._memory.learn(self._key(about), entry)

    def batch(self, most: int) -> int:
        """The batch size to begin with, at most `most`."""
        known = self.recall(BATCH) or ""
        return min(most, int(known)) if known.isdigit() and int(known) > 0 else most

    def _key(self, about: str) -> str:
        return f"{self._device}/bacnet-{about}"
