"""What a unit says of itself: function 43/14, and SunSpec."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from drivers.base import Settings
from drivers.modbus import sunspec
from drivers.modbus.client import Client, IdentifyRequest, ReadRequest
from drivers.modbus.driver import client_for
from drivers.modbus.errors import ExceptionAnswer, Garbled, NoAnswer, RequestError
from drivers.modbus.settings import RtuLinkSettings, TcpLinkSettings
from drivers.modbus.sunspec import PointKeys

_VENDOR, _PRODUCT, _REVISION, _MODEL = 0, 1, 2, 5
_REGULAR: Final = 2
_MOST_FRAMES: Final = 16
_MOST_MODELS: Final = 64
_HOLDING: Final = 3
_LONGEST_READ: Final = 125


@dataclass(frozen=True, slots=True)
class Description:
    """What a unit says of itself, as far as it does; all empty when it says nothing.

    objects: the texts of function 43/14 by object id. models: its SunSpec models in order. points: those of
    known SunSpec models, as a device map has them.
    """

    manufacturer: str = ""
    model: str = ""
    version: str = ""
    serial: str = ""
    objects: Mapping[int, str] = field(default_factory=dict)
    models: tuple[sunspec.Model, ...] = ()
    points: Mapping[str, PointKeys] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Maker, model and serial number in one line."""
        return " ".join(part for part in (self.manufacturer, self.model, self.serial) if part)


async def describe(settings: Settings, unit: int) -> Description:
    """Ask one unit. Whatever it refuses is left empty. Raises LinkError when the link cannot work."""
    if not isinstance(settings, TcpLinkSettings | RtuLinkSettings):
        raise TypeError(f"this is no Modbus link: {settings!r}")
    client = await asyncio.to_thread(client_for, settings)
    try:
        objects = await identify(client, unit)
        models = await walk(client, unit)
        own = await _common(client, unit, models)
    finally:
        client.close()
        await asyncio.sleep(0)
    said = (objects.get(_VENDOR), objects.get(_MODEL) or objects.get(_PRODUCT), objects.get(_REVISION), "")
    manufacturer, model, version, serial = (
        theirs or ours or "" for theirs, ours in zip(own, said, strict=True)
    )
    return Description(manufacturer, model, version, serial, objects, models, sunspec.points(models))


async def identify(client: Client, unit: int) -> dict[int, str]:
    """The basic and regular objects of function 43/14; {} when the unit does not know the function."""
    objects: dict[int, str] = {}
    for code in (_REGULAR, 1):
        try:
            await _identify(client, unit, code, objects)
        except ExceptionAnswer:
            continue  # a unit of basic conformity may refuse the regular ones
        except (NoAnswer, Garbled):
            break
        if objects:
            break
    return objects


async def walk(client: Client, unit: int) -> tuple[sunspec.Model, ...]:
    """The unit's SunSpec models; () when it has no SunSpec."""
    for base in sunspec.BASES:
        try:
            if await _registers(client, unit, base, 2) == sunspec.MARKER:
                return await _models(client, unit, base + 2)
        except ExceptionAnswer:
            continue
        except RequestError:
            break
    return ()


async def _identify(client: Client, unit: int, code: int, objects: dict[int, str]) -> None:
    first = 0
    for _ in range(_MOST_FRAMES):
        data = await client.ask(IdentifyRequest(unit, code, first))
        _, more, following, count = data[:4]
        at = 4
        for _ in range(count):
            if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
                raise Garbled(f"an object of {len(data)} bytes ends beyond its frame")
            key, size = data[at], data[at + 1]
            objects[key] = data[at + 2 : at + 2 + size].decode("utf-8", "replace").strip("\0 ")
            at += 2 + size
        if not more or following <= first:
            return
        first = following


async def _models(client: Client, unit: int, address: int) -> tuple[sunspec.Model, ...]:
    found: list[sunspec.Model] = []
    while len(found) < _MOST_MODELS and address < 0xFFFE:
        try:
            head = await _registers(client, unit, address, 2)
        except RequestError:
            break  # some devices end without the end marker
        number, length = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
        if number == sunspec.END:
            break
        found.append(sunspec.Model(number, address, length))
        address = found[-1].following
    return tuple(found)


async def _common(client: Client, unit: int, models: tuple[sunspec.Model, ...]) -> tuple[str, str, str, str]:
    common = next((model for model in models if model.id == sunspec.COMMON), None)
    if common is None:
        return "", "", "", ""
    try:
        count = min(common.length, _LONGEST_READ)
        return sunspec.texts(await _registers(client, unit, common.address + 2, count))
    except RequestError:
        return "", "", "", ""


async def _registers(client: Client, unit: int, address: int, count: int) -> bytes:
    return await client.ask(ReadRequest(unit, _HOLDING, address, count))
