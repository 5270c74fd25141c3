"""Faults by timetable: a YAML file says what goes wrong when, and a seed decides what is left to chance.

    seed: 4
    faults:
      - {at: 60s, device: main-meter, kind: drop, for: 30s}   # once, a minute after the start
      - {every: 5min, jitter: 1min, device: [zone-1, zone-2], kind: [drop, delay], for: 20s}

`device` and `kind` may be lists: one of each is drawn. Two runs with one seed do the same at the same times.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from drivers.modbus.settings import seconds
from simulators.control import parse_fault
from simulators.faults import FaultBoard, FaultError

_log = logging.getLogger(__name__)
_TIMES = ("at", "every", "jitter")


@dataclass(frozen=True, slots=True)
class Entry:
    """at_s: first time after the start. every_s: again after that, 0 once. jitter_s: at most that late."""

    at_s: float
    every_s: float
    jitter_s: float
    wanted: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schedule:
    """What goes wrong when."""

    seed: int
    entries: tuple[Entry, ...]

    def times(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """(seconds after the start, the fault as a mapping), in order; endless when something recurs."""
        draw = random.Random(self.seed)

        def turn(number: int, nominal: float) -> tuple[float, int, float]:
            return nominal + draw.random() * self.entries[number].jitter_s, number, nominal

        queue = [turn(number, entry.at_s) for number, entry in enumerate(self.entries)]
        heapq.heapify(queue)
        while queue:
            at, number, nominal = heapq.heappop(queue)
            entry = self.entries[number]
            yield (
                at,
                {key: draw.choice(v) if isinstance(v, list) else v for key, v in entry.wanted.items()},
            )
            if entry.every_s:
                heapq.heappush(queue, turn(number, nominal + entry.every_s))


def load_schedule(path: Path) -> Schedule:
    """Read a timetable. Raises FaultError (with the file's name and the entry's number), OSError."""
    try:
        root = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise FaultError(f"{path}: {error}") from None
    if not isinstance(root, dict) or not isinstance(root.get("faults"), list):
        raise FaultError(f"{path}: a timetable is a mapping with 'faults', a list, and 'seed'")
    try:
        entries = tuple(_entry(number, one) for number, one in enumerate(root["faults"], 1))
    except FaultError as error:
        raise FaultError(f"{path}: {error}") from None
    return Schedule(int(root.get("seed", 0)), entries)


def _entry(number: int, one: Any) -> Entry:
    if not isinstance(one, dict):
        raise FaultError(f"entry {number} is no mapping")
    if "at" not in one and "every" not in one:
        raise FaultError(f"entry {number} has neither 'at' nor 'every'")
    wanted = {key: value for key, value in one.items() if key not in _TIMES}
    try:
        at, every, jitter = (float(seconds(one.get(key, 0))) for key in _TIMES)  # type: ignore[arg-type]
        for device in wanted["device"] if isinstance(wanted.get("device"), list) else [wanted.get("device")]:
            for kind in wanted["kind"] if isinstance(wanted.get("kind"), list) else [wanted.get("kind")]:
                parse_fault(wanted | {"device": device, "kind": kind})
    except (TypeError, ValueError) as error:
        raise FaultError(f"entry {number}: {error}") from None
    return Entry(at if "at" in one else every, every, jitter, wanted)


async def follow(schedule: Schedule, board: FaultBoard) -> None:
    """Set the faults at their times, until all are done. What cannot be set is logged and left out."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for after_s, wanted in schedule.times():
        await asyncio.sleep(began + after_s - loop.time())
        try:
            device, fault = parse_fault(wanted)
            await board.set(device, fault)
        except FaultError as error:
            _log.warning("timetable: %s", error)
