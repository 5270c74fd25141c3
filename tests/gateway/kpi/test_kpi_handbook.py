"""docs/kpis.md says what the catalogue says, and the page has words for what the worker may say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.kpi import handbook
from gateway.kpi.catalogue import catalogue
from gateway.web.languages import load_languages

KPI = Path(handbook.__file__).parent
MADE_OF_PARTS = "no role "
"""How a reason made of parts begins: the page has a sentence for it."""


def trees() -> Iterator[ast.AST]:
    for path in sorted(KPI.glob("*.py")):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def texts(node: ast.AST | None) -> set[str]:
    """The string literals that an expression may become."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) and node.value else set()
    if isinstance(node, ast.BoolOp):
        return set().union(*(texts(value) for value in node.values))
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    if isinstance(node, ast.JoinedStr):
        raise AssertionError(f"line {node.lineno}: a reason made of parts cannot be put in words")
    return set()


def reasons() -> set[str]:
    """Every reason the KPI code may give, from its source."""
    found: set[str] = set()
    for node in trees():
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", "")
            if name in ("undefined", "_only_now") and node.args:
                found |= texts(node.args[0])
            for keyword in node.keywords:
                found |= texts(keyword.value) if keyword.arg == "reason" else set()
        if isinstance(node, ast.FunctionDef) and node.name in ("obstacle", "_no_table"):
            found |= {t for part in ast.walk(node) if isinstance(part, ast.Return) for t in texts(part.value)}
        if isinstance(node, ast.FunctionDef) and node.name == "_may_be_judged":
            pairs = [r.value for r in ast.walk(node) if isinstance(r, ast.Return)]
            found |= {t for pair in pairs if isinstance(pair, ast.Tuple) for t in texts(pair.elts[1])}
    return found


def detail_keys() -> set[str]:
    """Every name that may stand in `details`, from the source of the KPI code."""
    found: set[str] = set()
    for node in trees():
        if isinstance(node, ast.keyword) and node.arg == "details":
            found |= keys(node.value)
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") in ("details", "parts"):
            found |= keys(node.value)
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            if getattr(target, "id", "") in ("details", "parts"):
                found |= keys(node.value)
            if isinstance(target, ast.Subscript) and getattr(target.value, "id", "") == "details":
                found |= texts(target.slice)
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            pairs = [pair for pair in node.iter.elts if isinstance(pair, ast.Tuple)]
            found |= {text for pair in pairs for text in texts(pair.elts[0]) if text.endswith("_kw")}
    return found


def keys(node: ast.AST | None) -> set[str]:
    if not isinstance(node, ast.Dict):
        return set()
    return set().union(*(texts(key) for key in node.keys)) if node.keys else set()


def test_the_page_is_what_the_catalogue_says() -> None:
    page = handbook.PAGE.read_text(encoding="utf-8")
    assert handbook.with_handbook(page) == page, "run: python -m gateway.kpi.handbook"


def test_a_page_without_a_place_for_the_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        handbook.with_handbook("# KPIs")


def test_the_source_was_understood() -> None:
    """What these tests read from the source is there at all."""
    assert {
        "no commands",
        "no baseline period in the configuration",
        "the period has only begun",
    } <= reasons()
    assert {
        "kappa",
        "rolling_30min_kw",
        "minutes_share_percent",
        "rho_days",
        "gas",
        "scope1_kg",
    } <= detail_keys()


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_reason_the_worker_gives_has_words(lang: str) -> None:
    language = load_languages()[lang]
    plain = {reason for reason in reasons() if not reason.startswith(MADE_OF_PARTS)}
    slugs = {reason: re.sub("[^a-z0-9]+", "_", reason.lower()).strip("_") for reason in plain}
    assert [reason for reason, slug in slugs.items() if not language.has(f"reason.{slug}")] == []


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_detail_the_worker_gives_has_a_label(lang: str) -> None:
    language = load_languages()[lang]
    assert sorted(key for key in detail_keys() if not language.has(f"detail.{key}")) == []


def test_what_is_not_computed_is_said_to_be_so() -> None:
    waiting = {name for name, known in catalogue().items() if known.undefined.startswith("Not computed")}
    source = (KPI / "compute.py").read_text(encoding="utf-8")
    assert waiting == {name for name in catalogue() if f'"{name}":' not in source}
