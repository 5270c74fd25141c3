"""Change of value: notified at once, renewed, watched, and never relied on."""

from __future__ import annotations

import asyncio
import math

import pytest
from bacpypes3.apdu import UnconfirmedCOVNotificationRequest
from bacpypes3.basetypes import PropertyValue, StatusFlags
from bacpypes3.constructeddata import Any
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import Real

from drivers.bacnet import cov
from drivers.base import Quality


async def _until(condition, within_s=3.0):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the peer is a socket away
            await asyncio.sleep(0.01)


def _cancel_at_device(controller):
    """What a restart does to a controller: its subscriptions are gone."""
    app = controller.application
    for detection in list(app._cov_detections.values()):
        for subscription in list(detection.cov_subscriptions):
            app.cancel_subscription(subscription)


@pytest.mark.parametrize("confirmed", [False, True])
async def test_a_change_is_delivered_unasked(bench, confirmed):
    async with bench({"analog-input,1": 20.0, "binary-value,1": 0.0}) as b:
        await b.assign(["analog-input,1", "binary-value,1"], cov=0.2, cov_confirmed=confirmed)
        await _until(lambda: len(b.delivered) >= 2)  # each subscription begins with the value as it is
        b.delivered.clear()
        b.values.update({"analog-input,1": 21.5, "binary-value,1": 1.0})
        await _until(lambda: len(b.delivered) >= 2)
        got = {
            int(d.batch.series[0]): (float(d.batch.value[0]), int(d.batch.quality[0])) for d in b.delivered
        }
        assert got == {0: (21.5, Quality.GOOD), 1: (1.0, Quality.GOOD)}
        assert {d.device for d in b.delivered} == {"ahu-1"}


async def test_a_notified_fault_has_no_value(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        await b.assign(["analog-input,1"], cov=0.2)
        await _until(lambda: b.delivered)
        values = [
            PropertyValue(propertyIdentifier="presentValue", value=Any(Real(25.0))),
            PropertyValue(propertyIdentifier="statusFlags", value=Any(StatusFlags([0, 1, 0, 0]))),
        ]
        (subscription,) = b.driver.link._cov._by_series.values()
        b.controller.application.request(
            UnconfirmedCOVNotificationRequest(
                subscriberProcessIdentifier=subscription.process_id,
                initiatingDeviceIdentifier=("device", 1201),
                monitoredObjectIdentifier=("analog-input", 1),
                timeRemaining=60,
                listOfValues=values,
                destination=Address(f"127.0.0.1:{b.link.port}"),
            )
        )
        await _until(lambda: int(b.delivered[-1].batch.quality[0]) == Quality.FAULT)
        assert math.isnan(b.delivered[-1].batch.value[0])


async def test_subscribed_points_are_still_polled(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        group = await b.assign(["analog-input,1"], cov=0.2)
        await _until(lambda: b.driver.link.subscriptions == 1)
        assert (await b.driver.poll(group)).batch.value.tolist() == [20.0]


async def test_a_subscription_that_missed_a_change_is_made_anew(bench, monkeypatch):
    monkeypatch.setattr(cov, "RENEW_AT_MOST_EVERY_S", 0.0)
    async with bench({"analog-input,1": 20.0}) as b:
        group = await b.assign(["analog-input,1"], cov=0.2)
        await _until(lambda: b.delivered)
        _cancel_at_device(b.controller)
        b.values["analog-input,1"] = 30.0
        b.delivered.clear()
        await asyncio.sleep(0.06)
        await b.driver.poll(group)
        assert not b.delivered  # one difference may be a notification on its way
        await b.driver.poll(group)
        await _until(lambda: b.delivered)
        assert b.delivered[0].batch.value.tolist() == [30.0]


async def test_a_device_that_was_silent_is_subscribed_again(bench, monkeypatch):
    monkeypatch.setattr(cov, "RENEW_AT_MOST_EVERY_S", 0.0)
    async with bench({"analog-input,1": 20.0}) as b:
        group = await b.assign(["analog-input,1"], cov=0.2)
        await _until(lambda: b.delivered)
        b.values["analog-input,1"] = math.nan
        await asyncio.sleep(0.06)
        assert (await b.driver.poll(group)).fault is not None
        _cancel_at_device(b.controller)
        b.values["analog-input,1"] = 20.0
        b.delivered.clear()
        await asyncio.sleep(0.06)
        assert (await b.driver.poll(group)).fault is None
        await _until(lambda: b.delivered)
        assert b.delivered[0].batch.value.tolist() == [20.0]


async def test_a_device_that_is_away_at_first_is_subscribed_when_it_comes(bench, monkeypatch):
    monkeypatch.setattr(cov, "RETRY_SILENT_S", 0.2)
    async with bench({"analog-input,1": math.nan}) as b:
        await b.assign(["analog-input,1"], cov=0.2)
        await asyncio.sleep(0.3)
        assert b.driver.link.subscriptions == 0
        b.values["analog-input,1"] = 20.0
        await _until(lambda: b.driver.link.subscriptions == 1)


async def test_an_object_that_cannot_be_subscribed_is_left_to_polling(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        group = await b.assign(["analog-input,1", "analog-input,99"], cov=0.2)
        await _until(lambda: b.driver.link.subscriptions == 1)
        result = await b.driver.poll(group)
        assert result.batch.quality.tolist() == [Quality.GOOD, Quality.NOT_AVAILABLE]


async def test_a_stranger_cannot_notify(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        await b.assign(["analog-input,1"], cov=0.2)
        await _until(lambda: b.delivered)
        b.delivered.clear()
        request = b.driver.link._cov._by_id[1].request("127.0.0.1:9")
        request.pduSource, request.listOfValues = "127.0.0.1:9", []
        assert not await b.driver.link._cov.notified(request)
        assert not b.delivered


async def test_closing_cancels_subscriptions_at_the_device(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        await b.assign(["analog-input,1"], cov=0.2)
        await _until(lambda: b.controller.application._cov_detections)
        await b.driver.close()
        assert not b.controller.application._cov_detections


async def test_points_that_no_longer_ask_for_it_are_not_renewed(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        await b.assign(["analog-input,1"], cov=0.2)
        await _until(lambda: b.driver.link.subscriptions == 1)
        await b.assign(["analog-input,1"])
        assert b.driver.link.subscriptions == 0


async def test_a_subscription_is_renewed_at_half_its_life(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        await b.assign(["analog-input,1"], cov=0.2, cov_lifetime=10)
        await _until(lambda: b.driver.link.subscriptions == 1)
        (subscription,) = b.driver.link._cov._by_series.values()
        assert subscription.due - subscription.since == pytest.approx(5.0, abs=0.1)
