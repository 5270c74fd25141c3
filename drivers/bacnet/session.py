"""One device: where it is, what it can do, and how it is asked. What it cannot do is remembered (quirks)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from bacpypes3.apdu import ErrorPDU, ErrorRejectAbortNack
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import ObjectIdentifier

from drivers.bacnet.codec import Answer, GarbledAnswer
from drivers.bacnet.faults import fault_of, is_silence, is_too_big, knows_no_service
from drivers.bacnet.plan import ReadRequest, Reference, build_plan, reference_of, request_of
from drivers.bacnet.quirks import ALL_OR_NOTHING, BATCH, NO_MULTIPLE, Quirks
from drivers.bacnet.reading import Reading
from drivers.bacnet.settings import DeviceSettings, LinkSettings, PointSettings
from drivers.bacnet.stock import StockReader
from drivers.base import Fault, FaultCode, Memory, NoMemory, Now, Point, PollGroup, PollResult

_log = logging.getLogger(__name__)

SEGMENTS_S = 5.0
"""Time beyond time-outs and retries that a segmented answer may take."""

_LASTING = frozenset({FaultCode.NO_SUCH_OBJECT, FaultCode.DENIED})


class Reader(Protocol):
    """The fast path or the stock one."""

    async def read(self, address: Any, request: ReadRequest, *, trace: bool = False) -> Answer: ...


class Unreachable(Exception):  # noqa: N818 - carries the fault, is none
    """The device has no address; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


class DeviceSession:
    """Reads one device and remembers what it learned: its address, its batch size, what it refuses."""

    def __init__(
        self,
        name: str,
        settings: DeviceSettings,
        link: LinkSettings,
        app: Any,
        reader: Reader,
        now: Now,
        memory: Memory | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self._link = link
        self._app = app
        self._reader = reader
        self._stock = StockReader(app)
        self._now = now
        self._address: Any = None
        self._finding = asyncio.Lock()
        self._limit = asyncio.Semaphore(settings.max_in_flight)
        self.quirks = Quirks(name, settings.device_instance, memory or NoMemory(), now)
        self._batch = self.quirks.batch(settings.max_batch)
        self._singly = self.quirks.recall(NO_MULTIPLE) is not None
        refused = self.quirks.recall(ALL_OR_NOTHING)
        self._all_or_nothing = refused is not None
        self._refused = _references(refused or "")
        self._plans: dict[float, tuple[PollGroup, tuple[ReadRequest, ...]]] = {}

    @property
    def address(self) -> Any:
        """Where the device was last found, None while it is not."""
        return self._address

    async def read(self, group: PollGroup, *, trace: bool = False) -> PollResult:
        """Poll the group's points; what goes wrong in the field is in the result."""
        started = asyncio.get_running_loop().time()
        reading = Reading(group, self._now)
        try:
            address = await self.locate()
        except Unreachable as lost:
            reading.silence = lost.fault
        except Exception as error:
            _log.exception("device %s: looking for it failed", self.name)
            reading.silence = Fault(FaultCode.DEVICE_ERROR, f"{type(error).__name__}: {error}")
        else:
            plan = self._plan(group)
            await asyncio.gather(*(self._run(address, request, group, reading, trace) for request in plan))
            self._learn(reading, group)
        return reading.result(asyncio.get_running_loop().time() - started)

    async def request(self, build: Callable[[Any], Any]) -> Any:
        """Send the confirmed request that `build` makes for the device's address; returns its answer.

        Raises Unreachable, TimeoutError, and the library's ErrorRejectAbortNack.
        """
        address = await self.locate()
        async with self._limit, asyncio.timeout(self._patience()):
            return await self._app.request(build(address))

    async def fetch(self, references: Sequence[Reference]) -> Answer:
        """Read a few references beside the polls. Raises what request() raises, and GarbledAnswer."""
        address = await self.locate()
        request = request_of(references)
        async with self._limit:
            if not self._singly:
                try:
                    return await self._ask(address, request, False)
                except ErrorRejectAbortNack as refusal:
                    if is_silence(refusal):
                        raise
            async with asyncio.timeout(self._patience() * len(references)):
                return await self._stock.read_singly(address, request)

    async def locate(self) -> Any:
        """The device's address: its static binding, checked once, or found by Who-Is. Raises Unreachable."""
        if self._address is None:
            async with self._finding:
                if self._address is None:
                    static = self.settings.address
                    self._address = await (self._check(Address(static)) if static else self._find())
        return self._address

    async def _find(self) -> Any:
        instance = self.settings.device_instance
        answers = await self._app.who_is(instance, instance, timeout=self._link.who_is_timeout)
        if not answers:
            raise Unreachable(Fault(FaultCode.NO_ANSWER, f"nobody answered Who-Is for device {instance}"))
        return answers[0].pduSource

    async def _check(self, address: Any) -> Any:
        """Make sure that the device at a static address is the one meant, before its values are believed."""
        instance = self.settings.device_instance
        device = ObjectIdentifier(("device", instance))
        try:
            async with asyncio.timeout(self._patience()):
                await self._app.read_property(address, device, "object-identifier")
        except TimeoutError:
            raise Unreachable(Fault(FaultCode.NO_ANSWER, f"{address} does not answer")) from None
        except ErrorRejectAbortNack as refusal:
            fault = fault_of(refusal)
            if is_silence(refusal):
                raise Unreachable(Fault(FaultCode.NO_ANSWER, f"{address} does not answer")) from None
            if isinstance(refusal, ErrorPDU) and fault.code is FaultCode.NO_SUCH_OBJECT:
                what = f"the device at {address} is not device {instance}: check both numbers"
                raise Unreachable(Fault(FaultCode.NO_SUCH_OBJECT, what)) from None
        return address

    def _plan(self, group: PollGroup) -> tuple[ReadRequest, ...]:
        planned = self._plans.get(group.every_s)
        if planned is None or planned[0] is not group:
            plan = build_plan(
                group.points, self._batch, status_flags=self.settings.status_flags, apart=self._refused
            )
            planned = self._plans[group.every_s] = (group, plan)
        return planned[1]

    async def _run(
        self, address: Any, request: ReadRequest, group: PollGroup, reading: Reading, trace: bool
    ) -> None:
        """One request, halved as often as the device wants it."""
        try:
            async with self._limit:
                if reading.silence:
                    return
                answer = await self._ask(address, request, trace)
        except ErrorRejectAbortNack as refusal:
            if self._try_differently(refusal, request, group):
                parts = self._parts(refusal, request, group)
                await asyncio.gather(*(self._run(address, part, group, reading, trace) for part in parts))
            else:
                reading.refuse(request, fault_of(refusal))
        except TimeoutError:
            reading.refuse(request, Fault(FaultCode.NO_ANSWER, "the request was lost in the stack"))
        except GarbledAnswer as error:
            reading.refuse(request, Fault(FaultCode.GARBLED, str(error)))
        except Exception as error:
            _log.exception("device %s: reading failed", self.name)
            reading.refuse(request, Fault(FaultCode.DEVICE_ERROR, f"{type(error).__name__}: {error}"))
        else:
            reading.take(request, answer)

    async def _ask(self, address: Any, request: ReadRequest, trace: bool) -> Answer:
        patience = self._patience() * (len(request.references) if self._singly else 1)
        async with asyncio.timeout(patience):
            if self._singly:
                return await self._stock.read_singly(address, request, trace=trace)
            return await self._reader.read(address, request, trace=trace)

    def _try_differently(self, refusal: Any, request: ReadRequest, group: PollGroup) -> bool:
        """Whether the same points may well be readable in another way; notes for the next poll how."""
        if knows_no_service(refusal) and not self._singly:
            _log.info("device %s has no ReadPropertyMultiple: reading its points one by one", self.name)
            self._singly = True
            self.quirks.learn(NO_MULTIPLE, "1")
            return True
        if len(request.rows) < 2:
            return False
        if is_too_big(refusal):
            self._batch = min(self._batch, (len(request.rows) + 1) // 2)
            self._plans.clear()
            self.quirks.learn(BATCH, str(self._batch))
            _log.info("device %s: answers get too big, now %d points a request", self.name, self._batch)
            return True
        asked_apart = all(_reference(group.points[row]) in self._refused for row in request.rows.tolist())
        if isinstance(refusal, ErrorPDU) and fault_of(refusal).code in _LASTING and not asked_apart:
            self._all_or_nothing = True
            return True
        return False

    def _parts(self, refusal: Any, request: ReadRequest, group: PollGroup) -> list[ReadRequest]:
        if knows_no_service(refusal):
            return [request]
        return request.halves(group.points, self.settings.status_flags)

    def _learn(self, reading: Reading, group: PollGroup) -> None:
        """Where one bad point fails a whole request, ask for it apart; forget an address that went silent."""
        if reading.silence and not reading.answered:
            self._address = None
        if not self._all_or_nothing:
            return
        bad = reading.refused(_LASTING)
        refused = {_reference(point) for point in group.points if point.series in bad}
        refused |= self._refused - {_reference(point) for point in group.points}
        if refused != self._refused:
            self._refused = frozenset(refused)
            self._plans.clear()
            self.quirks.learn(ALL_OR_NOTHING, " ".join(sorted(map(str, refused))))

    def _patience(self) -> float:
        return (self._link.retries + 1) * self._link.apdu_timeout + SEGMENTS_S


def _reference(point: Point) -> Reference:
    return reference_of(cast(PointSettings, point.source))


def _references(text: str) -> frozenset[Reference]:
    """References as they were remembered; what cannot be read is forgotten."""
    try:
        return frozenset(Reference.parse(part) for part in text.split())
    except ValueError:
        return frozenset()
