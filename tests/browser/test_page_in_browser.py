"""The page in a real browser: it fits a phone, moves by itself, weighs little and can be read by everybody.

`open_page` fails a test whose page logs an error or asks anything of another host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import OpenPage, PageServer

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PAGES = [
    "/",
    "/equipment",
    "/equipment/room-102",
    "/points/ahu-1/supply_temp",
    "/points/main-meter/energy_import?range=7d",
    "/alarms",
    "/data",
    "/kpi/energy_savings",
    "/kpi/automation_success",
]
MAX_BYTES, MAX_REQUESTS = 300_000, 25
WEIGHT = """() => ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))
    .reduce((sum, entry) => sum + (entry.decodedBodySize || 0), 0)"""
"""Bytes before compression: what a phone has to parse, and at least what it loads."""


def serious(page: Page) -> list[str]:
    """axe's serious and critical findings: rule and the elements. Run past the page's own CSP."""
    # A script tag would be refused by the page's policy, rightly; evaluating is the browser's own door.
    page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("width", "theme", "lang"), [(360, "light", "en"), (1280, "dark", "fr")])
def test_axe_finds_nothing_serious(open_page: OpenPage, path: str, width: int, theme: str, lang: str) -> None:
    page = open_page(path, width, theme, lang)
    page.wait_for_selector(".live.on")
    assert serious(page) == []


OVERLAP = """() => {
    const [a, b] = ['nav ul', '.language'].map((one) => document.querySelector(one).getBoundingClientRect());
    return a.top < b.bottom && b.top < a.bottom && a.left < b.right && b.left < a.right;
}"""


@pytest.mark.parametrize(("width", "lang"), [(360, "en"), (360, "fr"), (760, "fr"), (1280, "fr")])
def test_nothing_overflows_or_overlaps(open_page: OpenPage, site: PageServer, width: int, lang: str) -> None:
    page = open_page("/", width, lang=lang)
    for path in PAGES:
        page.goto(site.url + path)
        page.wait_for_selector(".live.on")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert not page.evaluate(OVERLAP), path


def test_axe_would_find_a_grey_text_on_grey(open_page: OpenPage) -> None:
    page = open_page("/alarms")
    page.evaluate("for (const one of document.querySelectorAll('h1')) one.style.color = '#bbb'")
    assert any(finding.startswith("color-contrast") for finding in serious(page))


def test_tiles_stand_in_one_column_on_a_phone(open_page: OpenPage) -> None:
    page = open_page("/")
    tiles = page.locator(".tiles:not(.small) .tile")
    assert tiles.count() == 8
    for i in range(tiles.count()):
        box = tiles.nth(i).bounding_box()
        assert box is not None
        assert box["width"] > 300
        expect(tiles.nth(i).locator(".num")).to_be_visible()


def test_what_is_tapped_is_large_enough_for_a_thumb(open_page: OpenPage) -> None:
    page = open_page("/")
    for link in page.locator("nav a, .language").all():
        box = link.bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["width"] >= 44


def test_a_value_moves_without_a_reload(open_page: OpenPage) -> None:
    page = open_page("/equipment/ahu-1")
    value = page.locator('[data-point="ahu-1/fan_speed"] [data-live=text]')
    before = value.text_content()
    expect(value).not_to_have_text(before or "", timeout=5000)
    assert "%" in (value.text_content() or "")


def test_a_device_that_is_lost_shows_by_itself_and_comes_back(open_page: OpenPage, site: PageServer) -> None:
    page = open_page("/equipment")
    row = page.locator("tr", has_text="main-meter")
    expect(row.locator(".mark.green")).to_be_visible()
    well = list(site.fake.devices)
    site.fake.lose("main-meter", "no_answer")
    expect(row.locator(".mark.red")).to_contain_text(
        "does not answer (cable, power or address)", timeout=5000
    )
    site.fake.devices = well
    expect(row.locator(".mark.green")).to_be_visible(timeout=5000)


def test_a_gateway_that_goes_away_is_said(open_page: OpenPage, site: PageServer) -> None:
    page = open_page("/")
    page.wait_for_selector(".live.on")
    site.stop()
    expect(page.locator(".live.off")).to_contain_text("Not live: values as of", timeout=5000)


def test_new_figures_arrive_without_a_reload(open_page: OpenPage, site: PageServer) -> None:
    page = open_page("/")
    expect(page.locator(".tile .num").first).to_have_text("21.3")
    first, *others = site.fake.kpis
    site.fake.kpis = [msgspec.structs.replace(first, value=22.4, computed=first.computed + 1), *others]
    expect(page.locator(".tile .num").first).to_have_text("22.4", timeout=5000)


def test_every_page_is_light(chromium: Browser, site: PageServer) -> None:
    for path in PAGES:
        context = chromium.new_context()
        page = context.new_page()
        requests: list[str] = []
        page.on("request", lambda request, seen=requests: seen.append(request.url))
        page.goto(site.url + path)
        page.wait_for_selector(".live.on")
        weight = page.evaluate(WEIGHT)
        context.close()
        assert 5000 < weight < MAX_BYTES, path
        assert 0 < len(requests) < MAX_REQUESTS, path


def test_the_first_paint_is_within_a_second(open_page: OpenPage) -> None:
    page = open_page("/")
    page.wait_for_selector(".live.on")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 1000


def test_everything_can_be_read_without_javascript(open_page: OpenPage) -> None:
    page = open_page("/points/ahu-1/supply_temp", javascript=False)
    expect(page.locator("svg.chart path.line").first).to_be_visible()
    expect(page.locator("table")).to_contain_text("Lowest")


def test_the_chart_is_read_point_by_point(open_page: OpenPage) -> None:
    page = open_page("/points/ahu-1/supply_temp", 1280)
    canvas = page.locator("#chart .u-over")
    canvas.wait_for()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2)
    expect(page.locator("#chart figcaption")).to_contain_text("°C")


def test_the_keyboard_reaches_the_content_first(open_page: OpenPage) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
