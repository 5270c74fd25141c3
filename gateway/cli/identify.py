"""What a Modbus unit is: by its own word (FC 43, SunSpec), else by which template's values make sense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.base import FIRST_BAD, Delivery, Device, Point, PollGroup, Settings
from drivers.modbus.discovery import Description, describe
from drivers.modbus.settings import DeviceSettings, Table
from drivers.registry import KINDS
from gateway.cli.registers import Registers, read_blocks
from gateway.installer.devicemap import MapDevice, MapPoint
from gateway.installer.fingerprint import Match, best, match
from gateway.installer.mapping import register_candidates
from gateway.installer.naming import name_of

if TYPE_CHECKING:
    from drivers.templates import Template

SWEEP = 125
"""Registers from 0 in which candidates of an unknown device are looked for, in both tables."""
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Identified:
    """A unit and what it is taken for. matches: templates from the best; device: what to write."""

    unit_id: int
    template: str
    matches: tuple[Match, ...]
    device: MapDevice


async def identify(
    host: str, port: int, link: Settings, unit_id: int, templates: Sequence[Template]
) -> Identified:
    """Find out what one unit of a Modbus TCP endpoint is. Raises LinkError.

    A unit that describes its own points (SunSpec) is believed; else the templates are tried on it.
    """
    said = await describe(link, unit_id)
    keys: dict[str, Any] = {"host": host, "port": port, "unit_id": unit_id}
    if said.points:
        return Identified(unit_id, "", (), _self_described(said, keys))
    values = await _template_values(link, unit_id, templates)
    matches = [match(t.name, t.points, values[t.name]) for t in templates]
    chosen, ordered = best(matches)
    own_word = (f"says of itself: {said.title}",) if said.title else ()
    if chosen is not None:
        template = next(t for t in templates if t.name == chosen.template)
        name = name_of(f"{template.name.rpartition('/')[2]}-{port}-{unit_id}", "meter")
        about = f"{template.manufacturer} {template.model}"
        remark = f"by its values: {chosen.answered:.0%} of the points answer, score {chosen.score:.2f}"
        device = MapDevice(name, {"description": about, "template": chosen.template, **keys},
                           comments=(*own_word, f"{remark}; compare the type plate"))  # fmt: skip
        return Identified(unit_id, chosen.template, tuple(ordered), device)
    unknown = await _unknown(link, unit_id, keys, ordered)
    return Identified(unit_id, "", tuple(ordered), replace(unknown, comments=(*own_word, *unknown.comments)))


def _self_described(said: Description, keys: dict[str, Any]) -> MapDevice:
    """A device with the points that it describes itself."""
    name = name_of(f"{said.model or 'sunspec'}-{keys['port']}-{keys['unit_id']}", "meter")
    points = tuple(MapPoint(point, own) for point, own in said.points.items())
    models = ", ".join(str(model.id) for model in said.models)
    comments = (f"describes itself: SunSpec models {models}",)
    return MapDevice(name, {"description": said.title, **keys}, points, comments=comments)


def known_templates(folder: Path) -> list[Template]:
    """Every Modbus template that is shipped or in the folder's own templates; broken ones are left out."""
    from drivers.templates import TemplateError
    from gateway.config.shelf import TemplateShelf

    shelf = TemplateShelf(folder)
    found = []
    for name in shelf.names:
        try:
            template = shelf.get(name)
        except TemplateError:
            continue
        if template is not None and template.driver == "modbus":
            found.append(template)
    return found


async def _unknown(link: Settings, unit_id: int, keys: dict[str, Any], ordered: Sequence[Match]) -> MapDevice:
    """A device of which only candidates can be said."""
    blocks = [(table, 0, SWEEP) for table in (Table.HOLDING, Table.INPUT)]
    first = await read_blocks("modbus-tcp", link, unit_id, blocks)
    await asyncio.sleep(LOOK_AGAIN_S)
    again = await read_blocks("modbus-tcp", link, unit_id, blocks)
    candidates = [
        candidate
        for (table, *_), one, two in zip(blocks, first, again, strict=True)
        for candidate in register_candidates(0, one.words, str(table), _usable(two))
    ]
    near = [f"{m.template} ({m.answered:.0%}, {m.score:.1f})" for m in ordered[:3] if m.answered > 0.5]
    comments = ["no template stands out: take the '#' from what the manual confirms"]
    if near:
        comments.append(f"nearest templates: {', '.join(near)}")
    name = name_of(f"meter-{keys['port']}-{unit_id}", "meter")
    return MapDevice(name, keys, (), tuple(candidates), tuple(comments))


def _usable(found: Registers) -> tuple[int | None, ...] | None:
    return found.words if found.fault is None else None


async def _template_values(
    link: Settings, unit_id: int, templates: Sequence[Template]
) -> dict[str, Mapping[str, float | None]]:
    """Each template's points as this unit says them; None where it has no such register or no value.

    Each template has a session of its own: what one teaches of holes must not colour the next.
    """
    values: dict[str, Mapping[str, float | None]] = {}
    for template in templates:
        group = PollGroup("unit", 1.0, tuple(_points(template)))
        driver = KINDS["modbus-tcp"].create("scan", link, time.time_ns)
        await driver.open(_ignore)
        try:
            await driver.assign([Device("unit", DeviceSettings(unit_id=unit_id), (group,))])
            result = await driver.poll(group)
        finally:
            await driver.close()
        rows = zip(result.batch.series.tolist(), result.batch.value.tolist(),
                   result.batch.quality.tolist(), strict=True)  # fmt: skip
        good = {series: value for series, value, quality in rows if quality < FIRST_BAD}
        values[template.name] = {point.name: good.get(point.series) for point in group.points}
    return values


def _points(template: Template) -> list[Point]:
    return [
        Point(series, "unit", name, settings, str(template.points[name]["quantity"]), "",
              str(template.points[name]["unit"]))
        for series, (name, settings) in enumerate(template.settings.items())
    ]  # fmt: skip


async def _ignore(delivery: Delivery) -> None:
    """Modbus brings nothing unasked."""
