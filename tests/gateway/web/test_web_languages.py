"""Both languages are complete, and what is asked of them exists."""

from __future__ import annotations

import re
import string
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

import pytest

from drivers.base import FaultCode, Quality
from gateway.records import Severity
from gateway.web.kpi_views import HEADLINE_CADENCE
from gateway.web.languages import load_languages, negotiate

LANGUAGES = load_languages()
ENGLISH, FRENCH = LANGUAGES["en"], LANGUAGES["fr"]
WEB = Path(str(files("gateway.web")))
USED = re.compile(r"""\bt\(\s*["']([a-z0-9_.]+)["']\s*[,)]""")
PLURALS = re.compile(r"""\bplural\(\s*["']([a-z0-9_.]+)["']""")


def sources() -> str:
    return "\n".join(path.read_text("utf-8") for path in [*WEB.glob("*.py"), *WEB.glob("templates/*.html")])


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_no_key_is_missing_in_either_language() -> None:
    assert set(ENGLISH.texts) == set(FRENCH.texts)


def test_translations_take_the_same_values() -> None:
    differing = [
        key for key in ENGLISH.texts if placeholders(ENGLISH.texts[key]) != placeholders(FRENCH.texts[key])
    ]
    assert differing == []


def test_no_text_is_empty() -> None:
    assert [key for key, text in [*ENGLISH.texts.items(), *FRENCH.texts.items()] if not text.strip()] == []


def test_every_key_that_pages_and_code_ask_for_exists() -> None:
    used = set(USED.findall(sources()))
    plural = {f"{key}.{form}" for key in PLURALS.findall(sources()) for form in ("one", "other")}
    assert len(used) > 100
    assert (used | plural) - set(ENGLISH.texts) == set()


@pytest.mark.parametrize("family", [FaultCode])
def test_every_fault_has_words(family: type[StrEnum]) -> None:
    assert [code for code in family if not ENGLISH.has(f"fault.{code}")] == []


def test_every_quality_and_severity_has_a_word() -> None:
    assert [code for code in Quality if not ENGLISH.has(f"quality.{int(code)}")] == []
    assert [level for level in Severity if not ENGLISH.has(f"severity.{int(level)}")] == []


def test_every_headline_kpi_has_a_name_and_its_formula_in_words() -> None:
    missing = [kpi for kpi in HEADLINE_CADENCE if not ENGLISH.has(f"kpi.{kpi}.name")]
    missing += [kpi for kpi in HEADLINE_CADENCE if not ENGLISH.has(f"kpi.{kpi}.formula")]
    assert missing == []


def test_french_counts_zero_as_one() -> None:
    assert FRENCH.plural("equipment.lost.count", 0) == "0 appareil ne répond pas"
    assert ENGLISH.plural("equipment.lost.count", 0) == "0 devices do not answer"


@pytest.mark.parametrize(
    ("chosen", "cookie", "accept", "site", "expected"),
    [
        ("fr", "en", "en", "en", "fr"),
        (None, "fr", "en", "en", "fr"),
        (None, None, "de-DE, fr;q=0.8, en;q=0.5", "en", "fr"),
        (None, None, "en;q=0.1, fr-CA", "en", "fr"),
        (None, None, "", "fr", "fr"),
        ("../etc", "xx", "de", "xx", "en"),
        (None, None, "fr;q=abc, en", "en", "en"),
    ],
)
def test_the_visitors_language_wins_over_the_sites(
    chosen: str | None, cookie: str | None, accept: str, site: str, expected: str
) -> None:
    assert negotiate(chosen, cookie, accept, site) == expected
