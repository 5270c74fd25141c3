"""What the page says: a person understands it without reading a code."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
import pytest

from drivers.base import FaultCode
from gateway.records import Alarm, Severity
from gateway.status import ImportStatus
from gateway.web.languages import load_languages
from gateway.web.words import (
    Voice,
    alarm_words,
    banners,
    device_mark,
    fault_words,
    headline,
    is_stale,
    point_value,
    quality_mark,
)
from tests.gateway.web.fake_gateway import DAY, HOUR, MINUTE, NOW, FakeGateway, S, away_sink, troubled

LANGUAGES = load_languages()
ENGLISH = Voice(LANGUAGES["en"], ZoneInfo("Europe/Paris"), NOW)
FRENCH = Voice(LANGUAGES["fr"], ZoneInfo("Europe/Paris"), NOW)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ").replace("\u2011", "-")


def test_no_answer_says_what_to_check_since_when_and_the_last_value() -> None:
    since, last = NOW - 62 * MINUTE, NOW - 63 * MINUTE
    assert fault_words(FaultCode.NO_ANSWER, ENGLISH, since=since, last_value=last) == (
        "does not answer (cable, power or address), since 09:40, last value 09:39"
    )
    assert fault_words(FaultCode.NO_ANSWER, FRENCH, since=since, last_value=last) == (
        "ne répond pas (câble, alimentation ou adresse), depuis 09:40, dernière valeur à 09:39"
    )


def test_a_silent_sensor_says_for_how_long_and_what_was_expected() -> None:
    words = fault_words(FaultCode.SILENT, ENGLISH, last_value=NOW - 25 * MINUTE, every_s=300.0)
    assert plain(words) == "silent for 25 min, expected every 5 min"


@pytest.mark.parametrize("code", list(FaultCode))
@pytest.mark.parametrize("voice", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_no_fault_shows_its_code(code: FaultCode, voice: Voice) -> None:
    words = fault_words(code, voice, since=NOW - HOUR, every_s=10.0)
    assert code.value not in words or "_" not in code.value
    assert len(words) > 12


def test_a_fault_unknown_here_is_still_readable() -> None:
    assert fault_words("moon_phase", ENGLISH) == "moon phase"


def test_a_device_that_answers_in_part_says_how_many_points_are_missing() -> None:
    device = msgspec.structs.replace(FakeGateway().devices[0], points_good=4)
    mark = device_mark(device, ENGLISH)
    assert (mark.tone, mark.text) == ("amber", "Answers; 2 of 6 points are not good")


def test_a_device_not_read_yet_is_neither_well_nor_lost() -> None:
    device = msgspec.structs.replace(FakeGateway().devices[0], online=False, last_answer=0)
    assert device_mark(device, ENGLISH).tone == "grey"


def test_switches_are_on_or_off_and_counters_keep_their_decimal() -> None:
    assert point_value(1.0, "1", "state", FRENCH) == "marche"
    assert point_value(0.0, "1", "command", ENGLISH) == "off"
    assert plain(point_value(1234.5, "kWh", "counter", FRENCH)) == "1 234,5 kWh"
    assert point_value(7.0, "1", "gauge", ENGLISH) == "7"
    assert point_value(None, "kWh", "gauge", ENGLISH) == "–"


def test_a_point_older_than_three_of_its_periods_is_stale() -> None:
    point = FakeGateway().all_points[0]
    assert not is_stale(point, NOW)
    assert is_stale(msgspec.structs.replace(point, time=NOW - 31 * S), NOW)
    assert is_stale(msgspec.structs.replace(point, quality=48), NOW)


def test_a_point_with_its_own_fault_says_what_to_do() -> None:
    point = msgspec.structs.replace(
        FakeGateway().all_points[0], quality=36, fault="no_such_object", value=None
    )
    assert quality_mark(point, ENGLISH).text.startswith("no such object: was the controller re-programmed?")


def test_the_answer_comes_first_as_sentences() -> None:
    fake = FakeGateway()
    sentences = headline(fake.status(), fake.kpis[0], ENGLISH)
    assert [plain(one) for one in sentences] == [
        "All 15 devices answer.",
        "21 % saved this month (between 17 and 25 %), target 20 %.",
        "No alarm.",
    ]


def test_the_answer_names_the_worst_alarm() -> None:
    fake = troubled()
    sentences = [plain(one) for one in headline(fake.status(), None, FRENCH)]
    assert sentences[0] == "14 appareils sur 15 répondent."
    assert sentences[-1] == "Une alarme : room-102 silencieux depuis 26 min, attendu toutes les 5 min."


def test_using_more_than_the_baseline_is_not_called_a_saving() -> None:
    worse = msgspec.structs.replace(FakeGateway().kpis[0], value=-4.2, lower=-7.0, upper=-1.0)
    sentence = plain(headline(FakeGateway().status(), worse, ENGLISH)[1])
    assert sentence == "4.2 % more used this month than the baseline, target 20 %."


def test_last_months_saving_is_not_called_this_months() -> None:
    kpi = FakeGateway().kpis[0]
    old = msgspec.structs.replace(kpi, start=kpi.start - 31 * DAY, end=kpi.start)
    assert plain(headline(FakeGateway().status(), old, ENGLISH)[1]).startswith("21 % saved in October 2026")


def test_before_the_first_poll_nothing_is_called_lost() -> None:
    fake = FakeGateway()
    fake.devices = [msgspec.structs.replace(one, online=False, last_answer=0) for one in fake.devices]
    assert headline(fake.status(), None, ENGLISH)[0] == "Reading the equipment for the first time."


def test_a_cloud_away_says_that_nothing_is_lost_and_how_long_it_lasts() -> None:
    fake = FakeGateway(sinks=[away_sink()])
    assert plain(banners(fake.status(), ENGLISH)[0].text) == (
        "No connection to the cloud since 02:10; 184,000 values are safe here, about 31 days of room."
    )


def test_values_in_memory_are_never_called_safe() -> None:
    fake = FakeGateway(sinks=[away_sink()])
    fake.store = msgspec.structs.replace(fake.store, mode="memory")
    texts = [one.text for one in banners(fake.status(), ENGLISH)]
    assert "lost on a restart" in texts[0]
    assert not any("safe" in text for text in texts)


def test_an_import_shows_how_far_it_is() -> None:
    fake = FakeGateway(importing=ImportStatus(done=412_000, total=1_930_000))
    assert plain(banners(fake.status(), FRENCH)[0].text).startswith("Import de l’historique : 21 % (412 000")


def test_all_well_has_no_banner() -> None:
    assert banners(FakeGateway().status(), ENGLISH) == []


def test_not_being_ready_says_why() -> None:
    fake = FakeGateway(ready=False, not_ready_because=("the store is being repaired",))
    assert "the store is being repaired" in banners(fake.status(), ENGLISH)[0].text


def test_an_alarm_of_a_device_speaks_with_its_faults_words() -> None:
    alarm = Alarm(
        source="gas-meter",
        kind="device_lost",
        severity=Severity.CRITICAL,
        message="gas-meter: no_answer timed out",
        raised=NOW - HOUR,
        cleared=NOW,
    )
    assert alarm_words(alarm, ENGLISH) == "gas-meter does not answer (cable, power or address)"


def test_an_alarm_unknown_here_speaks_for_itself() -> None:
    alarm = Alarm(source="x", kind="new_kind", severity=Severity.WARNING, message="it rains in", raised=NOW)
    assert alarm_words(alarm, FRENCH) == "it rains in"


def test_a_kpi_alarm_uses_its_name_for_people() -> None:
    alarm = Alarm(
        source="kpi/energy_savings",
        kind="kpi_below_target",
        severity=Severity.INFORMATION,
        message="energy_savings is 3 %",
        raised=NOW,
    )
    assert alarm_words(alarm, FRENCH) == "Énergie économisée est sous son objectif"
