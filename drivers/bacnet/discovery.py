"""Finding devices: Who-Is, then who they say they are. What objects they have: describe.py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import ObjectIdentifier

from drivers.bacnet.description import FoundDevice
from drivers.bacnet.names import MAX_INSTANCE
from drivers.bacnet.settings import LinkSettings
from drivers.bacnet.stack import Stack

ASKED_AT_ONCE = 8
NAMES_WITHIN_S = 10.0


async def scan(
    settings: LinkSettings,
    low: int = 0,
    high: int = MAX_INSTANCE,
    timeout: float = 3.0,  # noqa: ASYNC109 - how long answers are collected, not a deadline
    addresses: Sequence[str] = (),
) -> list[FoundDevice]:
    """Open a port only to look around: who_is() by broadcast, or to each of `addresses`. Raises LinkError."""
    stack = await Stack.open(settings)
    try:
        if not addresses:
            return await who_is(stack.app, low, high, timeout)
        found = await asyncio.gather(
            *(who_is(stack.app, low, high, timeout, address) for address in addresses)
        )
        return sorted((device for some in found for device in some), key=lambda device: device.instance)
    finally:
        await stack.close()


async def who_is(
    app: Any,
    low: int = 0,
    high: int = MAX_INSTANCE,
    timeout: float = 3.0,  # noqa: ASYNC109 - how long answers are collected, not a deadline
    address: str | None = None,
) -> list[FoundDevice]:
    """Devices with instances from `low` to `high`, by instance.

    app: an open link's application (`driver.link.stack.app`). timeout: how long answers are collected [s].
    address: ask this station only; the one way that works over loopback and through some routers.
    """
    answers = await app.who_is(low, high, address=Address(address) if address else None, timeout=timeout)
    limit = asyncio.Semaphore(ASKED_AT_ONCE)
    devices = await asyncio.gather(*(_identify(app, answer, limit) for answer in answers))
    return sorted(devices, key=lambda device: device.instance)


async def _identify(app: Any, answer: Any, limit: asyncio.Semaphore) -> FoundDevice:
    instance = int(answer.iAmDeviceIdentifier[1])
    this = ObjectIdentifier(("device", instance))
    told = [
        await _text(app, answer.pduSource, this, prop, limit)
        for prop in ("vendor-name", "object-name", "model-name")
    ]
    return FoundDevice(
        instance, str(answer.pduSource), int(answer.vendorID), int(answer.maxAPDULengthAccepted), *told
    )


async def _text(app: Any, address: Any, item: Any, prop: str, limit: asyncio.Semaphore) -> str:
    """A text property, empty when the device does not give it."""
    try:
        async with limit, asyncio.timeout(NAMES_WITHIN_S):
            return str(await app.read_property(address, item, prop))
    except (ErrorRejectAbortNack, TimeoutError):
        return ""
