"""The MQTT driver: drains the inbox into columns, and acknowledges what the store has on disk.

Messages wait at most 50 ms. Each drain gives one delivery per device, so that a device's last answer is its
own; the acknowledgements of a drain leave together once all its deliveries are committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import nan

import numpy as np

from drivers.base import (
    Batch,
    Deliver,
    Delivery,
    Device,
    Fault,
    FaultCode,
    Figure,
    LinkError,
    Memory,
    Now,
    Point,
    PollGroup,
    PollResult,
    Quality,
    Settings,
)
from drivers.mqtt.announcer import Announcer
from drivers.mqtt.codec import Rows, decode, refuse
from drivers.mqtt.homeassistant import Publication
from drivers.mqtt.inbox import Counts, Inbox, Message
from drivers.mqtt.latest import Latest, Seen
from drivers.mqtt.plan import Plan, Route
from drivers.mqtt.presence import Presence
from drivers.mqtt.session import Session
from drivers.mqtt.settings import LinkSettings
from drivers.mqtt.sparkplug import PREFIX, rebirth_request

log = logging.getLogger(__name__)

DRAIN_S = 0.05
SLICE = 256
"""Messages decoded before the event loop has its turn again."""
LOST_AFTER_S = 10.0
"""A broker that returns sooner was not lost: its restart costs no sample and no alarm."""
POLL_WAIT_S = 5.0
_BIRTHS_AFTER_S = 0.5
"""Until the subscriptions stand, and births that were under way have come."""
_AT_ONCE = (FaultCode.DENIED, FaultCode.CERTIFICATE)
"""Faults that waiting does not mend."""


def create(link: str, settings: Settings, now: Now, memory: Memory | None = None) -> MqttDriver:
    """A driver for one broker session, not yet opened."""
    if not isinstance(settings, LinkSettings):
        raise TypeError(f"{link}: not the settings of an MQTT link: {type(settings).__name__}")
    return MqttDriver(link, settings, now)


@dataclass(slots=True)
class _Debt:
    """Acknowledgements owed for some messages, payable when `open` deliveries are committed."""

    session: Session
    messages: list[tuple[int, int]] = field(default_factory=list)
    open: int = 0

    def committed(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.session.acknowledge(self.messages)


class MqttDriver:
    """One broker session; see `drivers.base.Driver`. counts: what came, and what could not be used."""

    def __init__(self, link: str, settings: LinkSettings, now: Now) -> None:
        self._link = link
        self._settings = settings
        self._now = now
        self._plan = Plan(())
        self._latest = Latest()
        self._presence = Presence({})
        self._wake = asyncio.Event()
        self._inbox: Inbox | None = None
        self._session: Session | None = None
        self._deliver: Deliver | None = None
        self._task: asyncio.Task[None] | None = None
        self._fault: Fault | None = Fault(FaultCode.NO_ANSWER, "not connected yet")
        self._loss_timer: asyncio.TimerHandle | None = None
        self._loss_due = False
        self._told: FaultCode | None = None
        self._forgotten: set[str] = set()
        told = settings.home_assistant
        self._announcer = None if told is None else Announcer(told, settings.status_topic, self._announce)

    @property
    def counts(self) -> Counts:
        return self._inbox.counts if self._inbox else Counts()

    async def open(self, deliver: Deliver) -> None:
        """Start the session; raises LinkError when certificates cannot be used. Opening twice is an error."""
        if self._task is not None:
            raise LinkError(f"{self._link}: is open already")
        loop = asyncio.get_running_loop()
        self._deliver = deliver
        self._inbox = Inbox(lambda: _call(loop, self._wake.set))
        self._session = Session(
            self._link,
            self._settings,
            self._now,
            self._inbox,
            lambda fault: _call(loop, self._on_link, fault),
        )
        self._session.use(self._filters())
        self._session.start()
        self._watch_loss()
        self._task = asyncio.create_task(self._run(), name=f"mqtt {self._link}")

    async def assign(self, devices: Sequence[Device]) -> None:
        """Take another device set: only subscriptions that differ are changed, the connection stays."""
        self._plan = Plan(devices)
        self._latest = Latest(len(self._plan.points))
        self._presence = Presence(self._plan.watches)
        self._forgotten.clear()
        if self._session is not None:
            self._session.use(self._filters())
            asyncio.get_running_loop().call_later(_BIRTHS_AFTER_S, self._ask_births)

    def publish(self, figures: Sequence[Figure]) -> int:
        """Show these figures, and no others, in Home Assistant; how many messages were sent.

        Only what changed is sent, all of it again after a reconnect and when Home Assistant starts. 0 when
        the link has no `home_assistant`, or the broker is away: then the newest are sent when it is back.
        """
        return 0 if self._announcer is None else self._announcer.publish(figures)

    async def poll(self, group: PollGroup, *, trace: bool = False) -> PollResult:
        """Wait up to 5 s for a value of each point; for `heyzack test`, where nobody wants to wait longer.

        A value counts that came since the question, or in the 5 s before it (retained messages come at once).
        """
        began = time.monotonic()
        plan, latest = self._plan, self._latest  # a reload meanwhile leaves these as they are
        rows = [plan.row_of[point.series] for point in group.points if point.series in plan.row_of]
        while not latest.has(rows, since=began - POLL_WAIT_S):
            left = began + POLL_WAIT_S - time.monotonic()
            if left <= 0 or (self._fault is not None and self._fault.code in _AT_ONCE):
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(latest.changed(), min(left, 0.5))
        return self._result(group, began, trace)

    async def close(self) -> None:
        """Leave the broker. What was not committed is not acknowledged: a persistent session resends it."""
        self._end_loss_watch()
        if self._inbox is not None:
            self._inbox.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._session is not None:
            await asyncio.to_thread(self._session.stop)
            self._session = None

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(DRAIN_S)
            self._wake.clear()
            try:
                await self._drain()
            except Exception:
                # Not acknowledged, so nothing is lost; the next drain must still happen.
                log.exception("%s: messages could not be delivered", self._link)

    async def _drain(self) -> None:
        assert self._inbox is not None  # noqa: S101 - set by open(), which starts this task
        assert self._deliver is not None  # noqa: S101
        messages = self._inbox.take()
        for start in range(0, len(messages), SLICE):
            for delivery in self._assemble(messages[start : start + SLICE]):
                await self._deliver(delivery)
            await asyncio.sleep(0)
        if self._loss_due and self._fault is not None:
            self._loss_due = False
            for delivery in self._losses(self._fault):
                await self._deliver(delivery)

    def _assemble(self, messages: Sequence[Message]) -> list[Delivery]:
        """Messages as one delivery per device, the acknowledgements tied to all of them together.

        What a device says of its availability stands between what it sent before and after.
        """
        assert self._session is not None  # noqa: S101 - close() ends the task first
        debt = _Debt(self._session)
        columns: dict[str, Rows] = {}
        deliveries: list[Delivery] = []
        for message in messages:
            if message.qos:
                debt.messages.append((message.session, message.mid))
            for device, fault in [
                *self._presence.hear(message.topic, message.payload),
                *self._sort(message, columns),
            ]:
                deliveries += self._deliveries({device: columns.pop(device, Rows())}, debt)
                deliveries.append(self._said(device, fault, debt))
        deliveries += self._deliveries(columns, debt)
        debt.open = len(deliveries)
        if not deliveries:
            self._session.acknowledge(debt.messages)
        return deliveries

    def _sort(self, message: Message, columns: dict[str, Rows]) -> list[tuple[str, Fault]]:
        """Put a message's values with those of their devices; the devices whose end it tells."""
        if message.topic.startswith(PREFIX):
            return self._hear_node(message, columns)
        if self._announcer is not None and message.topic == self._announcer.birth_topic:
            if message.payload == b"online" and not message.retained:
                self._announcer.again()
            return []
        routes = self._plan.routes(message.topic)
        if not routes and message.topic not in self._presence.topics:
            self._forget(message.topic)
        for route in routes:
            if not message.retained:
                self._presence.alive(route.device)
            elif self._presence.gone(route.device) is not None:
                continue  # the last words of a device that is gone
            self._decode(route, message, columns.setdefault(route.device, Rows()))
        return []

    def _filters(self) -> Sequence[str]:
        """What to subscribe to: the plan's topics, and where Home Assistant says that it started."""
        births = () if self._announcer is None else (self._announcer.birth_topic,)
        return (*self._plan.filters, *(one for one in births if one not in self._plan.filters))

    def _announce(self, one: Publication) -> bool:
        return self._session is not None and self._session.publish(one.topic, one.payload, 1, retain=True)

    def _hear_node(self, message: Message, columns: dict[str, Rows]) -> list[tuple[str, Fault]]:
        heard = self._plan.sparkplug.hear(message.topic, message.payload, message.arrived_ns, columns)
        self.counts.malformed += heard.malformed
        if heard.rebirth is not None:
            self._ask_rebirth(*heard.rebirth)
        return heard.lost

    def _ask_rebirth(self, group: str, node: str) -> None:
        if self._session is not None:
            log.info("%s: asking edge node %s/%s for its births", self._link, group, node)
            self._session.publish(*rebirth_request(group, node, self._now() // 1_000_000))

    def _ask_births(self) -> None:
        """Births are not retained: a node that was born before we came is asked to tell again."""
        if self._fault is None:
            for group, node in self._plan.sparkplug.unborn(self._now()):
                self._ask_rebirth(group, node)

    def _deliveries(self, columns: Mapping[str, Rows], debt: _Debt) -> list[Delivery]:
        return [self._delivery(device, rows, debt) for device, rows in columns.items() if rows.row]

    def _said(self, device: str, fault: Fault | None, debt: _Debt) -> Delivery:
        """A device that said it is back (None) or gone: then its points have no value."""
        committed = debt.committed if debt.messages else None
        if fault is None:
            return Delivery(device, Batch.empty(), committed=committed)
        log.info("%s: %s: %s", self._link, device, fault.detail)
        series = self._plan.series_of[device]
        batch = Batch.of(series, self._now(), nan, int(Quality.COMM_LOST))
        return Delivery(device, batch, dict.fromkeys(series.tolist(), fault), committed, fault)

    def _decode(self, route: Route, message: Message, rows: Rows) -> None:
        if message.payload is None:
            reason = f"payload of {message.size} bytes; max_payload is {self._settings.max_payload}"
            refuse(route.program, message.arrived_ns, reason, rows)
            return
        self._latest.note_payload(route.filter, message.payload)
        if not decode(route.program, message.payload, message.arrived_ns, message.retained, rows):
            self.counts.malformed += 1

    def _delivery(self, device: str, rows: Rows, debt: _Debt) -> Delivery:
        batch, faults = self._plan.batch(rows), self._plan.faults(rows)
        self._latest.note(np.array(rows.row, np.intp), batch, faults, time.monotonic())
        return Delivery(device, batch, faults, debt.committed if debt.messages else None)

    def _forget(self, topic: str) -> None:
        """A topic of an earlier configuration, which the broker's session remembers: unsubscribe once."""
        self.counts.unrouted += 1
        if self._session is not None and topic not in self._forgotten and len(self._forgotten) < 1000:
            self._forgotten.add(topic)
            self._session.unsubscribe([topic])

    def _on_link(self, fault: Fault | None) -> None:
        self._fault = fault
        if fault is None:
            self._plan.sparkplug.forget()
            if self._announcer is not None:
                self._announcer.again()
            asyncio.get_running_loop().call_later(_BIRTHS_AFTER_S, self._ask_births)
            self._told = None
            self._end_loss_watch()
        elif fault.code is not self._told:
            log.warning("%s: %s", self._link, fault.detail)
            self._told = fault.code
            self._watch_loss(at_once=fault.code in _AT_ONCE)

    def _watch_loss(self, at_once: bool = False) -> None:
        """Tell the devices' loss now or in 10 s, once for each outage and for a new reason to act."""
        if at_once or self._loss_timer is None:
            self._end_loss_watch()
            self._loss_timer = asyncio.get_running_loop().call_later(
                0 if at_once else LOST_AFTER_S, self._lose
            )

    def _end_loss_watch(self) -> None:
        if self._loss_timer is not None:
            self._loss_timer.cancel()
            self._loss_timer = None
        self._loss_due = False

    def _lose(self) -> None:
        self._loss_due = True
        self._wake.set()

    def _losses(self, fault: Fault) -> Iterator[Delivery]:
        """Every device lost, for one reason."""
        self._presence.forget()
        for device, series in self._plan.series_of.items():
            batch = Batch.of(series, self._now(), nan, int(Quality.COMM_LOST))
            yield Delivery(device, batch, dict.fromkeys(series.tolist(), fault), fault=fault)

    def _result(self, group: PollGroup, began: float, trace: bool) -> PollResult:
        now, latency = self._now(), time.monotonic() - began
        seen = [self._seen(point.series, began) for point in group.points]
        absent = int(Quality.COMM_LOST if self._fault else Quality.STALE)
        batch = Batch.of(
            [point.series for point in group.points],
            [one.time if one else now for one in seen],
            [one.value if one else nan for one in seen],
            [one.quality if one else absent for one in seen],
        )
        faults: dict[int, Fault] = {}
        for point, one in zip(group.points, seen, strict=True):
            fault = one.fault if one else self._why_silent(point)
            if fault is not None:
                faults[point.series] = fault
        whole = None if any(seen) else next(iter(faults.values()), None)
        return PollResult(batch, latency, whole, faults, self._raw(group) if trace else {})

    def _seen(self, series: int, began: float) -> Seen | None:
        row = self._plan.row_of.get(series)
        return None if row is None else self._latest.get(row, series, since=began - POLL_WAIT_S)

    def _raw(self, group: PollGroup) -> dict[int, str]:
        topics = {point.series: self._plan.topic_of.get(point.series, "") for point in group.points}
        return {series: self._latest.raw(topic) for series, topic in topics.items()}

    def _why_silent(self, point: Point) -> Fault:
        if self._fault is not None:
            return self._fault
        if (gone := self._presence.gone(point.device)) is not None:
            return gone
        topic = self._plan.topic_of.get(point.series, "")
        if self._session is not None and topic in self._session.refused:
            why = self._session.refused[topic]
            return Fault(FaultCode.DENIED, f"the broker refuses {topic}: {why}")
        return Fault(FaultCode.SILENT, f"no value on {topic} within {POLL_WAIT_S:g} s")


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """From another thread; a loop that is closing needs nothing any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)
