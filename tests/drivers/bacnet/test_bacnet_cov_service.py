"""Which subscription a device is asked for: with the point's own increment, without, or none at all."""

from __future__ import annotations

import asyncio

from bacpypes3.apdu import SubscribeCOVRequest
from bacpypes3.errors import ExecutionError

from drivers.bacnet.quirks import NO_COV, NO_COV_PROPERTY

SUBSCRIBE, SUBSCRIBE_PROPERTY = 5, 28


async def _until(condition, within_s=3.0):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the peer is a socket away
            await asyncio.sleep(0.01)


def _teach_property_subscriptions(controller):
    """Give the simulated controller the service that bacpypes3's server lacks; returns what it is asked."""
    app, asked = controller.application, []

    async def subscribe(apdu):
        asked.append((apdu.monitoredObjectIdentifier, apdu.covIncrement))
        if apdu.covIncrement is not None:
            app.get_object_id(apdu.monitoredObjectIdentifier).covIncrement = apdu.covIncrement
        plain = SubscribeCOVRequest(
            subscriberProcessIdentifier=apdu.subscriberProcessIdentifier,
            monitoredObjectIdentifier=apdu.monitoredObjectIdentifier,
            issueConfirmedNotifications=apdu.issueConfirmedNotifications,
            lifetime=apdu.lifetime,
        )
        plain.set_context(apdu)
        plain.pduSource, plain.apduInvokeID = apdu.pduSource, apdu.apduInvokeID
        await app.do_SubscribeCOVRequest(plain)

    app.do_SubscribeCOVPropertyRequest = subscribe
    return asked


async def test_an_analog_value_is_subscribed_with_its_own_increment(bench):
    async with bench({"analog-input,1": 20.0, "binary-value,1": 0.0}) as b:
        asked = _teach_property_subscriptions(b.controller)
        b.listen()
        await b.assign(["analog-input,1", "binary-value,1"], cov=0.5)
        await _until(lambda: len(b.delivered) >= 2)
        assert [(str(item), increment) for item, increment in asked] == [("analog-input,1", 0.5)]
        assert sorted(b.requests) == [SUBSCRIBE, 12, SUBSCRIBE_PROPERTY]  # 12: is this the device meant?
        b.delivered.clear()
        b.values["analog-input,1"] = 20.4
        await asyncio.sleep(0.2)
        b.values["analog-input,1"] = 21.0
        await _until(lambda: b.delivered)
        assert b.delivered[0].batch.value.tolist() == [21.0]


async def test_a_device_that_has_no_increments_is_subscribed_without_and_remembered(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        b.listen()
        await b.assign(["analog-input,1"], cov=0.5)
        await _until(lambda: b.delivered)
        assert b.requests.count(SUBSCRIBE_PROPERTY) == 1
        assert f"ahu-1/bacnet-{NO_COV_PROPERTY}" in b.memory.notes
        await b.restart()
        b.requests.clear()
        b.delivered.clear()
        await b.assign(["analog-input,1"], cov=0.5)
        await _until(lambda: b.delivered)
        assert SUBSCRIBE_PROPERTY not in b.requests


async def test_an_object_that_refuses_its_increment_is_subscribed_without(bench):
    async with bench({"analog-input,1": 20.0}) as b:

        async def refuse(_):
            raise ExecutionError("property", "not-cov-property")

        b.controller.application.do_SubscribeCOVPropertyRequest = refuse
        await b.assign(["analog-input,1"], cov=0.5)
        await _until(lambda: b.delivered)
        assert b.driver.link.subscriptions == 1
        assert b.memory.notes == {}  # it may be this object only


async def test_a_device_that_drops_what_it_does_not_know_is_subscribed_without(bench):
    async with bench({"analog-input,1": 20.0}) as b:

        async def drop(_):
            await asyncio.sleep(60)

        b.controller.application.do_SubscribeCOVPropertyRequest = drop
        await b.assign(["analog-input,1"], cov=0.5)
        await _until(lambda: b.delivered)
        assert f"ahu-1/bacnet-{NO_COV_PROPERTY}" in b.memory.notes


async def test_a_device_without_change_of_value_is_polled_and_not_asked_again(bench):
    async with bench({f"analog-input,{i}": 20.0 for i in range(5)}) as b:
        b.controller.application.do_SubscribeCOVRequest = None
        b.listen()
        group = await b.assign([f"analog-input,{i}" for i in range(5)], cov=0.5)
        await _until(lambda: f"ahu-1/bacnet-{NO_COV}" in b.memory.notes)
        await b.restart()
        b.requests.clear()
        group = await b.assign([f"analog-input,{i}" for i in range(5)], cov=0.5)
        assert (await b.driver.poll(group)).batch.value.tolist() == [20.0] * 5
        assert not {SUBSCRIBE, SUBSCRIBE_PROPERTY} & set(b.requests)
        assert b.driver.link.subscriptions == 0
