"""MQTT settings: what is accepted, and that errors say what to write instead."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from drivers.mqtt.settings import DeviceSettings, LinkSettings, PointSettings, TlsSettings
from drivers.mqtt.topics import parse_path


def test_port_follows_tls_unless_given() -> None:
    assert LinkSettings(host="broker").endpoint == ("broker", 1883)
    assert LinkSettings(host="broker", tls=TlsSettings()).endpoint == ("broker", 8883)
    assert LinkSettings(host="broker", tls=TlsSettings(), port=1884).endpoint == ("broker", 1884)


def test_password_is_not_shown() -> None:
    link = LinkSettings.model_validate({"host": "b", "username": "gw", "password": "hunter2"})
    assert "hunter2" not in repr(link)
    assert "hunter2" not in link.model_dump_json()


def test_version_is_accepted_as_yaml_reads_it() -> None:
    assert LinkSettings.model_validate({"host": "b", "version": 5}).version == "5"


def test_durations_and_sizes_have_units() -> None:
    link = LinkSettings.model_validate({"host": "b", "session_expiry": "2d", "max_payload": "64KiB"})
    assert link.session_expiry == 172_800
    assert link.max_payload == 65_536


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"host": "b", "password": "x"}, "without username"),
        ({"host": "b", "qos": 2}, "qos"),
        ({"host": "b", "keepalive": "soon"}, "no duration"),
        ({"host": "b", "tls": {"key": "k.pem"}}, "key without cert"),
        ({"host": "b", "max_payload": "big"}, "no size"),
        ({"host": "b", "clean": True}, "clean"),
    ],
)
def test_wrong_link_settings_are_told(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LinkSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("topic", "says"),
    [
        ("building/{floor}/state", "{device}, {point}"),
        ("building/#/state", "last level"),
        ("building/room+/state", "alone in its level"),
        ("building/{device", "unpaired brace"),
        ("", "empty"),
    ],
)
def test_topic_that_can_match_nothing_is_told(topic: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        DeviceSettings(topic=topic)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"payload": "raw", "json": "a"}, "no path"),
        ({"payload": "json"}, "needs the path"),
        ({"json": "a..b"}, "no JSON path"),
        ({"json": ""}, "empty"),
        ({"scale": 0}, "every value 0"),
    ],
)
def test_wrong_point_settings_are_told(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PointSettings.model_validate(settings)


def test_words_are_accepted_as_yaml_reads_them() -> None:
    point = PointSettings.model_validate({"values": {True: 5, "Open": 1, 3: 4}})
    assert point.values == {"true": 5, "open": 1, "3": 4}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("temperature", ("temperature",)),
        ("ENERGY.Total", ("ENERGY", "Total")),
        ("probes[1].t", ("probes", 1, "t")),
        ("[0][2]", (0, 2)),
    ],
)
def test_json_path_is_keys_and_indices(text: str, steps: tuple[str | int, ...]) -> None:
    assert parse_path(text) == steps
