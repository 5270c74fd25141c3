"""The Modbus driver: runs a group's plan over a connection and returns columns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from drivers.base import (
    Batch,
    Deliver,
    Device,
    Fault,
    FaultCode,
    Memory,
    NoMemory,
    Now,
    PollGroup,
    PollResult,
    Quality,
    Settings,
    Write,
    WriteResult,
)
from drivers.modbus import writing
from drivers.modbus.client import Client, PacedClient, ReadRequest
from drivers.modbus.errors import Garbled, NoAnswer, RequestError
from drivers.modbus.learning import Answer, conclude, settle
from drivers.modbus.plan import Plan, ReadBlock, Span
from drivers.modbus.settings import RtuLinkSettings, TcpLinkSettings
from drivers.modbus.stock import RtuClient
from drivers.modbus.tcp import tcp_client
from drivers.modbus.unit import Unit

MAX_ROUNDS = 40
"""Bisecting 125 registers takes 7 rounds, meeting a length limit as many more; this only bounds mischief."""

_HOLE = Fault(FaultCode.NO_SUCH_ADDRESS, "Modbus exception 2 (illegal data address); asked again daily")


def create(link_name: str, settings: Settings, now: Now, memory: Memory | None = None) -> ModbusDriver:
    """The driver of one Modbus TCP endpoint or serial line, not yet opened."""
    if not isinstance(settings, TcpLinkSettings | RtuLinkSettings):
        raise TypeError(f"link {link_name} has no Modbus settings: {settings!r}")
    return ModbusDriver(settings, now, memory=memory)


@dataclass(slots=True)
class _Reading:
    """What a poll has gathered: the plan it ended with and the answer to each request made."""

    plan: Plan
    answers: dict[Span, Answer]

    def answer(self, block: ReadBlock) -> Answer | None:
        return self.answers.get(block.key)

    @property
    def ended_by(self) -> RequestError | None:
        """The failure after which the rest was not asked."""
        failures = (a for a in self.answers.values() if isinstance(a, RequestError) and a.ends_poll)
        return next(failures, None)

    @property
    def has_data(self) -> bool:
        return any(isinstance(answer, bytes) for answer in self.answers.values())


class ModbusDriver:
    """One link and the units on it (see `drivers.base.Driver`)."""

    def __init__(
        self,
        settings: TcpLinkSettings | RtuLinkSettings,
        now: Now,
        monotonic: Callable[[], float] = time.monotonic,
        memory: Memory | None = None,
    ) -> None:
        self._settings = settings
        self._now = now
        self._monotonic = monotonic
        self._memory = memory or NoMemory()
        self._client: Client | None = None
        self._units: dict[str, Unit] = {}
        self._at_once = settings.max_in_flight if isinstance(settings, TcpLinkSettings) else 1

    async def open(self, deliver: Deliver) -> None:
        """Ready to poll; the connection is made by the first poll. Modbus brings nothing unasked.

        Raises LinkError when a certificate cannot be used.
        """
        self._client = await asyncio.to_thread(client_for, self._settings)

    async def assign(self, devices: Sequence[Device]) -> None:
        """Replace the devices. The connection belongs to the link and stays."""
        kept = {name: unit for name, unit in self._units.items() if unit.device in devices}
        self._units = {device.name: kept.get(device.name) or self._unit(device) for device in devices}

    async def poll(self, group: PollGroup, *, trace: bool = False) -> PollResult:
        unit = self._units[group.device]
        began = time.perf_counter()
        reading = await self._read(unit, group)
        latency = time.perf_counter() - began
        result = _result(reading, self._now(), latency, device_answered=unit.has_answered)
        return _traced(result, reading) if trace else result

    async def write(self, command: Write) -> WriteResult:
        """Send one command to a device that was assigned (see `drivers.base.Writer`)."""
        assert self._client is not None, "open() comes before write()"  # noqa: S101
        return await writing.write(self._client.ask, self._units[command.point.device].unit_id, command)

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
            await asyncio.sleep(0)  # lets the transport close its socket before the loop ends

    def _unit(self, device: Device) -> Unit:
        where = self._settings.endpoint
        return Unit(device, self._memory, where, now_s=self._now() / 1e9, monotonic=self._monotonic())

    async def _read(self, unit: Unit, group: PollGroup) -> _Reading:
        """Ask for all blocks; split and ask again what is refused, until nothing more is learned.

        A unit that gave no data at all teaches nothing: a meter that is starting up refuses everything.
        """
        before = learned = unit.learned(self._monotonic())
        reading = _Reading(unit.plan(group, learned), {})
        for _ in range(MAX_ROUNDS):
            await self._ask(unit, reading)
            concluded = conclude(reading.plan, reading.answers, learned)
            if concluded is learned or reading.ended_by:
                break
            learned = concluded
            reading.plan = unit.plan(group, learned)
        if reading.has_data:
            unit.has_answered = True
            if learned is not before:
                lesson = settle(before, learned, reading.answers)
                unit.remember(lesson, now_s=self._now() / 1e9, monotonic=self._monotonic())
        return reading

    async def _ask(self, unit: Unit, reading: _Reading) -> None:
        """Fill in the answers that the plan still lacks."""
        wanted = [block for block in reading.plan.blocks if block.key not in reading.answers]
        if self._at_once > 1:
            answers = await asyncio.gather(*(self._request(unit, block) for block in wanted))
            reading.answers.update(zip((block.key for block in wanted), answers, strict=True))
            return
        for block in wanted:
            answer = await self._request(unit, block)
            reading.answers[block.key] = answer
            if isinstance(answer, RequestError) and answer.ends_poll:
                return

    async def _request(self, unit: Unit, block: ReadBlock) -> Answer:
        assert self._client is not None, "open() comes before poll()"  # noqa: S101
        request = ReadRequest(unit.unit_id, block.function, block.address, block.count)
        tries = self._settings.retries
        while True:
            try:
                return await self._client.ask(request)
            except (NoAnswer, Garbled) as error:
                if not tries:
                    return error
                tries -= 1
            except RequestError as error:
                return error


def client_for(settings: TcpLinkSettings | RtuLinkSettings) -> Client:
    """A connection, not yet made. Reads certificates. Raises LinkError."""
    if isinstance(settings, RtuLinkSettings):
        return PacedClient(RtuClient(settings), max(settings.pause, settings.silence_s))
    client = tcp_client(settings)
    return PacedClient(client, settings.pause) if settings.pause else client


def _result(reading: _Reading, at_ns: int, latency_s: float, *, device_answered: bool) -> PollResult:
    """Decode what came; what did not come is bad, each point with its reason or the device with one."""
    plan = reading.plan
    answers = [reading.answer(block) for block in plan.blocks]
    values, quality = plan.decoder.decode(
        plan.buffer(answer if isinstance(answer, bytes) else None for answer in answers)
    )
    faults: dict[int, Fault] = {}
    ended_by = reading.ended_by
    for block, answer in zip(plan.blocks, answers, strict=True):
        error = answer if isinstance(answer, RequestError) else ended_by
        if not isinstance(answer, bytes) and error is not None:
            quality[block.rows] = error.quality
            values[block.rows] = np.nan
            faults.update(dict.fromkeys(block.rows.tolist(), error.fault))
    if len(plan.holes):
        quality[plan.holes] = Quality.FAULT
        values[plan.holes] = np.nan
        faults.update(dict.fromkeys(plan.holes.tolist(), _HOLE))
    if plan.factors is not None:
        plan.factors.apply(values, quality)
        for row, by in zip(plan.factors.rows.tolist(), plan.factors.by.tolist(), strict=True):
            if by in faults:
                faults.setdefault(row, faults[by])
    count = len(plan.series)
    by_series = {int(plan.series[row]): fault for row, fault in faults.items() if row < count}
    batch = Batch(plan.series, np.full(count, at_ns, np.int64), values[:count], quality[:count])
    if reading.has_data or (device_answered and ended_by is None):
        return PollResult(batch, latency_s, None, by_series)
    return PollResult(batch, latency_s, ended_by.fault if ended_by else next(iter(faults.values()), None))


def _traced(result: PollResult, reading: _Reading) -> PollResult:
    """The same result with the bytes of each point that was answered, as hex words."""
    plan = reading.plan
    answers = [reading.answer(block) for block in plan.blocks]
    buffer = plan.buffer(answer if isinstance(answer, bytes) else None for answer in answers)
    raw = {}
    for block, answer in zip(plan.blocks, answers, strict=True):
        own = block.rows[block.rows < len(plan.series)]
        for row in own.tolist() if isinstance(answer, bytes) else ():
            byte, width = plan.spans[row]
            raw[int(plan.series[row])] = buffer[byte : byte + width].hex(" ", -2)
    return PollResult(result.batch, result.latency_s, result.fault, result.point_faults, raw)
