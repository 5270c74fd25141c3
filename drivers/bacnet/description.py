"""What a device says of itself, as plain data: `heyzack scan bacnet` makes a device map of it.

Loads nothing of the stack; `describe.describe(app, device)` fills it.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.base import Kind


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device that answered Who-Is; texts are empty where it did not tell them."""

    instance: int
    address: str
    vendor_id: int
    max_apdu: int
    vendor: str = ""
    name: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class ObjectDescription:
    """One object that has a present value; each field named like a point's key goes there as it is.

    object: 'analog-input,3'. name, description: the device's own texts. bacnet_unit: the standard's name of
    its unit ('degrees-celsius', 'unit 512' for a number the standard does not name), empty where it has
    none. unit, factor, quantity, kind: ours; unit and quantity are empty where nothing of ours fits or the
    device does not say. value: the present value now, None where it is none. commandable: it has a priority
    array. states: the texts of a binary (inactive, active) or multi-state object (1, 2, ...).
    cov_increment: the change it notifies [in `unit`]. trend_log: the log in this device that records it
    ('trend-log,5').
    """

    object: str
    name: str
    description: str
    bacnet_unit: str
    unit: str
    factor: float
    quantity: str
    kind: Kind
    value: float | None = None
    commandable: bool = False
    states: tuple[str, ...] = ()
    cov_increment: float | None = None
    trend_log: str = ""


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """A device and its objects in the order of its object list.

    others: objects that are no points ('schedule,1'): counted for the installer, never polled.
    """

    device: FoundDevice
    objects: tuple[ObjectDescription, ...]
    others: tuple[str, ...] = ()
