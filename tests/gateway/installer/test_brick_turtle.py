"""The Brick export is Turtle that parses, with every point of the demo, whatever its texts hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import load
from gateway.installer.brick import to_turtle

DEMO = load(Path(__file__).parents[3] / "configs" / "demo", {})

TOKEN = re.compile(
    r'\s+|(?P<iri><[^\x00-\x20<>"{}|^`\\]*>)|(?P<text>"(?:[^"\\\n\r]|\\[tbnrf"\'\\]|\\u[0-9A-F]{4}|\\U[0-9A-F]{8})*")'
    r"|(?P<prefix>@prefix)|(?P<name>[a-z]+:[A-Za-z0-9_-]*)|(?P<number>[0-9.]+(?=[ ;\]]))|(?P<a>a\b)"
    r"|(?P<mark>[.;\[\]])"
)
UNESCAPED = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "\\": "\\"}


def parse(turtle: str) -> list[tuple[str, str, str]]:
    """(subject, predicate, object) of the subset that is written; fails on anything that is no Turtle."""
    tokens: list[str] = []
    at = 0
    while at < len(turtle):
        match = TOKEN.match(turtle, at)
        assert match is not None, turtle[at : at + 60]
        if match.lastgroup:
            tokens.append(match[0])
        at = match.end()
    triples: list[tuple[str, str, str]] = []
    stream = iter(tokens)

    def facts(subject: str, end: str) -> None:
        while True:
            predicate, thing = next(stream), next(stream)
            if thing == "[":
                thing = f"_:{len(triples)}"
                triples.append((subject, predicate, thing))
                facts(thing, "]")
            else:
                triples.append((subject, predicate, thing))
            mark = next(stream)
            if mark == end:
                return
            assert mark == ";"

    for token in stream:
        if token == "@prefix":
            assert [next(stream)[-1], next(stream)[0], next(stream)] == [":", "<", "."]
        else:
            assert token.startswith("<")
            facts(token, ".")
    return triples


def text(literal: str) -> str:
    return re.sub(
        r'\\(?:u(....)|U(........)|(.))',
        lambda m: chr(int(m[1] or m[2], 16)) if m[1] or m[2] else UNESCAPED[m[3]],
        literal[1:-1],
    )  # fmt: skip


def test_every_point_of_the_demo_is_there_with_class_device_and_series() -> None:
    triples = parse(to_turtle(DEMO))
    series = {text(o) for _, p, o in triples if p == "ref:hasTimeseriesId"}
    assert series == {f"{p.device}/{p.name}" for d in DEMO.devices.values() for p in d.points}
    kinds = {s: o for s, p, o in triples if p == "a"}
    main = "<urn:heyzack:paris-hq/device/main-meter>"
    assert kinds[main] == "brick:Electrical_Meter"
    energy = "<urn:heyzack:paris-hq/point/main-meter/energy_import>"
    assert kinds[energy] == "brick:Electric_Energy_Sensor"
    assert (energy, "brick:isPointOf", main) in triples
    assert (energy, "brick:hasUnit", "unit:KiloW-HR") in triples
    assert (energy, "hz:haystack", '"elec energy sensor point"') in triples


def test_a_zones_points_are_points_of_it() -> None:
    zones = {o for s, p, o in parse(to_turtle(DEMO)) if s.endswith("zone-1/temp>") and p == "brick:isPointOf"}
    assert "<urn:heyzack:paris-hq/zone/zone-1>" in zones


@given(st.text(max_size=40))
def test_any_text_survives_the_escaping(words: str) -> None:
    site = replace(DEMO.site, name=words or "x")
    triples = parse(to_turtle(replace(DEMO, site=site, devices={}, zones={})))
    assert text(next(o for _, p, o in triples if p == "rdfs:label")) == (words or "x")
