"""Numbers, durations and times read as people write them in each language."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web import formats
from gateway.web.formats import Lang

PARIS = ZoneInfo("Europe/Paris")
S = 1_000_000_000
NOW = 1_795_340_523 * S  # 2026-11-22 09:42:03 UTC


@pytest.mark.parametrize(
    ("value", "english", "french"),
    [
        (1234.5, "1,234", "1\u202f234"),
        (21.34, "21.3", "21,3"),
        (0.00512, "0.00512", "0,00512"),
        (9.996, "10.0", "10,0"),
        (0.0, "0", "0"),
        (-3.05, "−3.05", "−3,05"),
        (1_234_567.8, "1,234,568", "1\u202f234\u202f568"),
        (None, "–", "–"),
        (float("nan"), "–", "–"),
    ],
)
def test_a_number_has_three_significant_digits_and_never_loses_whole_ones(
    value: float | None, english: str, french: str
) -> None:
    assert formats.number(value, "en") == english
    assert formats.number(value, "fr") == french


def test_trimming_makes_a_target_of_twenty_read_twenty() -> None:
    assert formats.number(20.0, "en") == "20.0"
    assert formats.number(20.0, "en", trim=True) == "20"
    assert formats.number(100.0, "en", trim=True) == "100"


def test_the_unit_stands_once_behind_a_no_break_space() -> None:
    assert formats.quantity(18.4, "degC", "fr") == "18,4\u00a0°C"
    assert formats.quantity(1.0, "1", "en") == "1.00"
    assert formats.quantity(None, "kWh", "en") == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(99.996, "99.99\u00a0%"), (99.95, "99.95\u00a0%"), (100.0, "100\u00a0%"), (98.7, "98.7\u00a0%")],
)
def test_a_share_is_never_rounded_up_to_a_hundred(value: float, text: str) -> None:
    assert formats.share(value, "en") == text


def test_a_large_count_is_said_to_three_digits() -> None:
    assert formats.about(184_213, "en") == "184,000"
    assert formats.about(184_213, "fr") == "184\u202f000"
    assert formats.about(212, "en") == "212"


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (25, "25 s", "25 s"),
        (25 * 60, "25 min", "25 min"),
        (3 * 3600, "3 h", "3 h"),
        (86400 * 1.6, "2 days", "2 jours"),
        (86400 * 31, "31 days", "31 jours"),
        (-5, "0 s", "0 s"),
    ],
)
def test_a_duration_is_said_in_its_largest_whole_unit(seconds: float, english: str, french: str) -> None:
    assert formats.duration(seconds, "en").replace("\u00a0", " ") == english
    assert formats.duration(seconds, "fr").replace("\u00a0", " ") == french


def test_bytes_are_octets_in_french() -> None:
    assert formats.size(412_000_000, "en") == "412\u00a0MB"
    assert formats.size(4_294_967_296, "fr") == "4,29\u00a0Go"


def test_a_moment_is_in_the_sites_zone_and_as_short_as_can_be() -> None:
    assert formats.moment(NOW, NOW, PARIS, "en") == "10:42"
    assert formats.moment(NOW - 86400 * S, NOW, PARIS, "fr") == "21 nov. 10:42"
    assert formats.moment(NOW - 400 * 86400 * S, NOW, PARIS, "en") == "18 Oct 2025 11:42"


def test_periods_have_names() -> None:
    november = 1_793_487_600 * S
    assert formats.period(november, "monthly", PARIS, "fr") == "novembre 2026"
    assert formats.period(november, "weekly", PARIS, "en") == "1 Nov 2026"
    assert formats.period(november, "quarterly", PARIS, "fr") == "T4 2026"


@given(st.floats(allow_nan=False, allow_infinity=False, width=64), st.sampled_from(["en", "fr"]))
def test_any_number_prints_within_half_a_unit_of_its_last_digit(value: float, lang: Lang) -> None:
    text = formats.number(value, lang)
    plain = text.replace("−", "-").replace("\u202f", "").replace(",", "." if lang == "fr" else "")
    decimals = len(plain.partition(".")[2])
    assert abs(float(plain) - value) <= 0.5000001 * 10.0**-decimals + abs(value) * 1e-12
