"""The plan: subscriptions and the way from a topic to its points."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from drivers.base import Device, Point, PollGroup, Quality
from drivers.mqtt.codec import Rows, decode
from drivers.mqtt.plan import Plan, covers
from drivers.mqtt.settings import DeviceSettings, PointSettings

SERIES = count(100)


def device(name: str, topic: str | None = None, **points: dict[str, Any]) -> Device:
    made = tuple(
        Point(
            next(SERIES), name, point, PointSettings.model_validate(settings), "temperature", "degC", "degC"
        )
        for point, settings in points.items()
    )
    return Device(name, DeviceSettings(topic=topic), (PollGroup(name, 10.0, made),))


def test_template_names_device_and_point() -> None:
    plan = Plan([device("room-1", "b/{device}/{point}", temp={}, co2={})])
    assert plan.filters == ("b/room-1/co2", "b/room-1/temp")


def test_points_of_one_topic_share_one_subscription_and_one_route() -> None:
    plan = Plan([device("room-1", "b/{device}/state", temp={"json": "t"}, co2={"json": "c"})])
    assert plan.filters == ("b/room-1/state",)
    (route,) = plan.routes("b/room-1/state")
    assert len(route.program.fields) == 2


def test_filter_covered_by_a_wider_one_is_left_out() -> None:
    plan = Plan([device("a", "b/+/state", x={}), device("c", "b/c/state", y={}), device("d", "z/d", y={})])
    assert plan.filters == ("b/+/state", "z/d")
    assert {route.device for route in plan.routes("b/c/state")} == {"a", "c"}


def test_topic_of_nobody_has_no_route() -> None:
    assert list(Plan([device("a", "b/a", x={})]).routes("b/other")) == []


def test_two_devices_may_listen_to_one_topic() -> None:
    plan = Plan([device("a", "t", x={"json": "x"}), device("b", "t", y={"json": "y"})])
    assert [route.device for route in plan.routes("t")] == ["a", "b"]


def test_batch_applies_scale_and_offset() -> None:
    plan = Plan([device("a", "t", x={"json": "x", "scale": 0.1, "offset": -4}, y={"json": "y"})])
    rows = Rows()
    for route in plan.routes("t"):
        decode(route.program, b'{"x": 250, "y": "broken"}', 5, False, rows)
    batch = plan.batch(rows)
    assert batch.value[0] == pytest.approx(21.0)
    assert np.isnan(batch.value[1])
    assert batch.quality.tolist() == [Quality.GOOD, Quality.BAD_VALUE]
    assert list(plan.faults(rows)) == [batch.series[1]]


LEVEL = st.sampled_from(["a", "b", "", "+"])
FILTER = st.tuples(st.lists(LEVEL, min_size=1, max_size=3), st.sampled_from(["", "/#"])).map(
    lambda made: "/".join(made[0]) + made[1]
).filter(bool)  # fmt: skip
TOPIC = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4).map("/".join).filter(bool)


@given(FILTER, FILTER, TOPIC)
def test_what_the_narrow_filter_matches_the_wide_one_does(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and topic_matches_sub(narrow, topic):
        assert topic_matches_sub(wide, topic)
