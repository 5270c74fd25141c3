"""Change of value: subscriptions that are renewed, watched, and never relied on.

The library's own subscriptions end silently when a device is down at the moment of renewal. Here each is
renewed at half its life and again soon after a failure, and polling goes on as a heartbeat: a polled value
that twice differs from the last one notified proves a subscription dead, and it is made anew.

An analog value is subscribed with its own increment (SubscribeCOVProperty) where the device can; else
SubscribeCOV, and the device's COV_Increment decides. A device without either is left to polling.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from bacpypes3.apdu import (
    ErrorRejectAbortNack,
    SimpleAckPDU,
    SubscribeCOVPropertyRequest,
    SubscribeCOVRequest,
)
from bacpypes3.primitivedata import ObjectIdentifier, TagClass

from drivers.bacnet.codec import Tag, tagged_number
from drivers.bacnet.faults import fault_of, is_silence, knows_no_service
from drivers.bacnet.names import PRESENT_VALUE, STATUS_FLAGS
from drivers.bacnet.plan import Reference
from drivers.bacnet.quirks import NO_COV, NO_COV_PROPERTY
from drivers.bacnet.reading import flag_quality
from drivers.bacnet.session import DeviceSession, Unreachable
from drivers.base import Batch, Deliver, Delivery, Now, Point, PollResult, Quality

_log = logging.getLogger(__name__)

RETRY_SILENT_S = 30.0
RETRY_REFUSED_S = 600.0
RETRY_INCAPABLE_S = 86400.0
RENEW_AT_MOST_EVERY_S = 30.0
MISSES_TO_DOUBT = 2
DISCRETE = frozenset({3, 4, 5, 13, 14, 19})
"""Binary and multi-state objects: any change is notified."""
GOODBYE_WITHIN_S = 1.0


@dataclass(slots=True)
class Subscription:
    """One object of one device. due: when to (re)subscribe, on the loop's clock [s]."""

    session: DeviceSession
    point: Point
    reference: Reference
    process_id: int
    due: float = 0.0
    since: float = 0.0
    active: bool = False
    notified: float | None = None
    misses: int = 0
    own_increment: bool = False

    @property
    def may_have_increment(self) -> bool:
        """Whether an increment of the point's own makes sense and is not known to be refused."""
        return (
            bool(self.point.cov)
            and self.reference.object_type not in DISCRETE
            and self.session.quirks.recall(NO_COV_PROPERTY) is None
        )

    def request(self, address: Any, *, cancel: bool = False) -> Any:
        settings = self.session.settings
        wanted: dict[str, Any] = {
            "subscriberProcessIdentifier": self.process_id,
            "monitoredObjectIdentifier": ObjectIdentifier(
                (self.reference.object_type, self.reference.instance)
            ),
            "destination": address,
        }
        if not cancel:
            wanted["issueConfirmedNotifications"] = settings.cov_confirmed
            wanted["lifetime"] = round(settings.cov_lifetime)
        if not self.own_increment:
            return SubscribeCOVRequest(**wanted)
        wanted["monitoredPropertyIdentifier"] = PRESENT_VALUE
        if not cancel:
            wanted["covIncrement"] = self.point.cov
        return SubscribeCOVPropertyRequest(**wanted)


class CovSubscriptions:
    """All subscriptions of one link, kept alive by one task."""

    def __init__(self, app: Any, deliver: Deliver, now: Now) -> None:
        self._deliver = deliver
        self._now = now
        self._ids = count(1)
        self._by_series: dict[int, Subscription] = {}
        self._by_id: dict[int, Subscription] = {}
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        _listen(app, self)

    @property
    def active(self) -> int:
        """How many subscriptions stand."""
        return sum(s.active for s in self._by_series.values())

    def assign(self, wanted: Mapping[int, tuple[DeviceSession, Point, Reference]]) -> None:
        """Subscribe to these, by series id; what stays the same is left alone, the rest runs out."""
        old, self._by_series = self._by_series, {}
        for series, (session, point, reference) in wanted.items():
            kept = old.get(series)
            if kept is None or kept.session is not session or kept.reference != reference:
                kept = Subscription(session, point, reference, next(self._ids))
            self._by_series[series] = kept
        self._by_id = {s.process_id: s for s in self._by_series.values()}
        self._changed.set()
        if self._by_series and self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="bacnet-cov")

    def watch(self, result: PollResult) -> None:
        """Compare polled values with notified ones; a subscription that missed changes is renewed.

        A device that went silent has probably forgotten its subscriptions: they are doubted when it is back.
        """
        if not self._by_series:
            return
        now = asyncio.get_running_loop().time()
        for row, series in enumerate(result.batch.series.tolist()):
            subscription = self._by_series.get(series)
            if subscription is None or not subscription.active:
                continue
            if result.fault:
                subscription.notified, subscription.misses = None, MISSES_TO_DOUBT
            if result.batch.quality[row] >= Quality.COMM_LOST:
                continue
            self._compare(subscription, float(result.batch.value[row]), now)

    async def close(self) -> None:
        """Stop renewing and tell the devices, without waiting long for them."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        farewells = [asyncio.ensure_future(_cancel(s)) for s in self._by_series.values() if s.active]
        self._by_series, self._by_id = {}, {}
        if farewells:
            _, late = await asyncio.wait(farewells, timeout=GOODBYE_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def notified(self, apdu: Any) -> bool:
        """Deliver one notification; False when it is not for us."""
        subscription = self._by_id.get(int(apdu.subscriberProcessIdentifier))
        if subscription is None:
            return False
        kind, instance = apdu.monitoredObjectIdentifier
        if (int(kind), int(instance)) != subscription.reference[:2]:
            return False
        if apdu.pduSource != subscription.session.address:
            return False
        numbers = dict(_numbers(apdu.listOfValues))
        value = numbers.get(PRESENT_VALUE)
        if value is None or not np.isfinite(value):
            return True
        quality = int(flag_quality(np.array([numbers.get(STATUS_FLAGS, np.nan)]))[0])
        subscription.notified, subscription.misses = value, 0
        kept = value if quality < Quality.COMM_LOST else np.nan
        batch = Batch.of([subscription.point.series], self._now(), [kept], [quality])
        await self._deliver(Delivery(subscription.point.device, batch))
        return True

    def _compare(self, subscription: Subscription, polled: float, now: float) -> None:
        allowed = 0.0 if subscription.reference.object_type in DISCRETE else subscription.point.cov or 0.0
        if subscription.notified is not None and abs(polled - subscription.notified) <= allowed:
            subscription.misses = 0
            return
        subscription.misses += 1
        if subscription.misses >= MISSES_TO_DOUBT and now - subscription.since >= RENEW_AT_MOST_EVERY_S:
            _log.info(
                "%s/%s: changes were not notified, subscribing again",
                subscription.point.device,
                subscription.point.name,
            )
            subscription.active, subscription.misses, subscription.due = False, 0, now
            self._changed.set()

    async def _keep(self) -> None:
        """Subscribe what is due, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            due: dict[str, list[Subscription]] = {}
            for subscription in self._by_series.values():
                if subscription.due <= loop.time():
                    due.setdefault(subscription.session.name, []).append(subscription)
            await asyncio.gather(*(self._subscribe_all(some) for some in due.values()))
            wait = min((s.due for s in self._by_series.values()), default=None)
            try:
                async with asyncio.timeout_at(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _subscribe_all(self, subscriptions: Sequence[Subscription]) -> None:
        """Those of one device; the first alone, because it shows what the device can."""
        first, *others = subscriptions
        await self._subscribe(first)
        await asyncio.gather(*(self._subscribe(other) for other in others))

    async def _subscribe(self, subscription: Subscription) -> None:
        loop = asyncio.get_running_loop()
        name = f"{subscription.point.device}/{subscription.point.name}"
        retry = RETRY_SILENT_S
        if subscription.session.quirks.recall(NO_COV) is not None:
            subscription.due = loop.time() + RETRY_INCAPABLE_S
            return
        try:
            await _request(subscription)
        except ErrorRejectAbortNack as refusal:
            retry = RETRY_SILENT_S if is_silence(refusal) else RETRY_REFUSED_S
            if knows_no_service(refusal):
                retry = RETRY_INCAPABLE_S
                subscription.session.quirks.learn(NO_COV, "1")
            _log.info(
                "%s: no change-of-value subscription (%s), it is polled", name, fault_of(refusal).detail
            )
        except (Unreachable, TimeoutError) as error:
            _log.debug("%s: no change-of-value subscription (%s), it is polled", name, error)
        except Exception:
            _log.exception("%s: subscribing failed, it is polled", name)
        else:
            subscription.active, subscription.since = True, loop.time()
            subscription.due = loop.time() + subscription.session.settings.cov_lifetime / 2
            return
        subscription.active = False
        subscription.due = loop.time() + retry


async def _request(subscription: Subscription) -> None:
    """Subscribe with the point's own increment, else without. Raises what DeviceSession.request raises.

    Some devices drop a service they do not know without a word: one that is silent to the first and answers
    the second is one of them.
    """
    session = subscription.session
    subscription.own_increment = subscription.may_have_increment
    incapable = False
    if subscription.own_increment:
        try:
            await session.request(subscription.request)
        except ErrorRejectAbortNack as refusal:
            subscription.own_increment = False
            incapable = knows_no_service(refusal) or is_silence(refusal)
        else:
            return
    await session.request(subscription.request)
    if incapable:
        session.quirks.learn(NO_COV_PROPERTY, "1")


async def _cancel(subscription: Subscription) -> None:
    with suppress(ErrorRejectAbortNack, Unreachable, TimeoutError):  # it runs out by itself then
        await subscription.session.request(lambda address: subscription.request(address, cancel=True))


def _numbers(values: Iterable[Any]) -> Iterable[tuple[int, float]]:
    """(property, number) of the plain values in a notification."""
    for item in values:
        tags = list(item.value.tagList)
        if tags and tags[0].tag_class == TagClass.opening:  # bacpypes3 keeps the element's own brackets
            tags = tags[1:-1]
        if len(tags) == 1 and tags[0].tag_class == TagClass.application:
            tag = tags[0]
            content = bytes([tag.tag_lvt]) if tag.tag_number == Tag.BOOLEAN else bytes(tag.tag_data)
            number = tagged_number(int(tag.tag_number), content)
            if number is not None:
                yield int(item.propertyIdentifier), number


def _listen(app: Any, subscriptions: CovSubscriptions) -> None:
    """Route notifications here first; what is not ours goes the library's way."""
    stock_confirmed = app.do_ConfirmedCOVNotificationRequest
    stock_unconfirmed = app.do_UnconfirmedCOVNotificationRequest

    async def confirmed(apdu: Any) -> None:
        if await subscriptions.notified(apdu):
            await app.response(SimpleAckPDU(context=apdu))
        else:
            await stock_confirmed(apdu)

    async def unconfirmed(apdu: Any) -> None:
        if not await subscriptions.notified(apdu):
            await stock_unconfirmed(apdu)

    app.do_ConfirmedCOVNotificationRequest = confirmed
    app.do_UnconfirmedCOVNotificationRequest = unconfirmed
