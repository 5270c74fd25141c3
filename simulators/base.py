"""What every simulator shares: a served point is a pure function of time behind a protocol address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.base import Settings

ValueAt = Callable[[int], float]
"""The true value at a UTC time [ns]; NaN means the device is off the wire then."""


@dataclass(frozen=True, slots=True)
class ServedPoint:
    """A point on the simulated wire.

    settings: the same protocol settings the gateway would use to read it (register, object, topic).
    value_at: the true value, in the unit the device reports.
    """

    name: str
    settings: Settings
    value_at: ValueAt
    unit: str = ""
