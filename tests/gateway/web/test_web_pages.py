"""The pages in their states: well, troubled, first run, partial, stale, unreadable."""

from __future__ import annotations

import html
import re

import httpx
import msgspec
import pytest

from gateway.records import Status
from gateway.status import ImportStatus
from gateway.store.columns import Intervals
from gateway.web.server import create_app
from tests.gateway.web.fake_gateway import (
    MINUTE,
    NOW,
    FakeGateway,
    FakeReader,
    away_sink,
    device_lost,
    troubled,
)

PAGES = [
    "/",
    "/equipment",
    "/equipment/ahu-1",
    "/points/ahu-1/supply_temp",
    "/points/main-meter/energy_import?range=7d",
    "/points/_site/outdoor.temperature",
    "/alarms",
    "/data",
    "/kpi/energy_savings",
    "/kpi/automation_success",
]


def words(page: str) -> str:
    """A page's text as it is read: without tags, one space between words."""
    text = re.sub(r"<(script|noscript).*?</\1>|<[^>]+>", " ", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(text).replace("\u2011", "-"))


async def text_of(client: httpx.AsyncClient, path: str, **params: str) -> str:
    answer = await client.get(path, params=params or None)
    assert answer.status_code == 200
    return words(answer.text)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("lang", ["en", "fr"])
async def test_every_page_answers_in_both_languages(client: httpx.AsyncClient, path: str, lang: str) -> None:
    answer = await client.get(path, headers={"Accept-Language": lang})
    assert answer.status_code == 200
    assert f'<html lang="{lang}"' in answer.text
    assert len(re.findall("<h1", answer.text)) == 1


async def test_today_begins_with_the_answer(client: httpx.AsyncClient) -> None:
    text = await text_of(client, "/")
    assert (
        "All 15 devices answer. 21 % saved this month (between 17 and 25 %), target 20 %. No alarm." in text
    )


@pytest.mark.parametrize(
    ("kpi", "expected"),
    [
        ("Energy saved", "On track 21.3 %"),
        ("Peak reduced", "Near 13.9 %"),
        ("Green energy", "Below 18.2 %"),
        ("Water saved", "Not proven 16.0 %"),
        ("Waste reduced", "Not entered –"),
        ("Commands carried out", "No data yet – No command was sent"),
        ("Gateway uptime", "Exceeding 100 %"),
    ],
)
async def test_a_tile_says_its_status_in_a_word(client: httpx.AsyncClient, kpi: str, expected: str) -> None:
    assert f"{kpi} {expected}" in await text_of(client, "/")


async def test_a_tile_gives_target_range_and_completeness_in_plain_words(client: httpx.AsyncClient) -> None:
    text = await text_of(client, "/")
    assert "Target 20 % November 2026 · Partial month Most likely between 17.2 and 25.4 %" in text
    assert "Data 96.4 % complete" in text
    assert text.count("complete ") == 1
    assert "CI90" not in text


async def test_first_run_says_that_nothing_is_to_be_done(
    client: httpx.AsyncClient, fake: FakeGateway
) -> None:
    fake.kpis, fake.importing = [], ImportStatus(done=1, total=100)
    text = await text_of(client, "/")
    assert "No results yet" in text
    assert "Importing the past: 1 %" in text


async def test_a_lost_device_is_first_and_says_why(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.lose("main-meter", "no_answer", "timed out after 1.0 s", ago=62 * MINUTE)
    text = await text_of(client, "/equipment")
    assert "1 device does not answer" in text
    assert "main-meter modbus-tcp does not answer (cable, power or address), since 09:40" in text
    assert text.index("main-meter") < text.index("ahu-1")
    assert "timed out" not in text
    assert "no_answer: timed out after 1.0 s" in await text_of(client, "/equipment/main-meter")


async def test_stale_values_are_greyed_with_their_age(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.all_points = [
        msgspec.structs.replace(point, time=NOW - 5 * MINUTE) if point.point == "supply_temp" else point
        for point in fake.all_points
    ]
    page = (await client.get("/equipment/ahu-1")).text
    assert page.count('class="stale"') == 1
    assert "5 min old" in words(page)


async def test_the_cloud_away_shows_on_every_page(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.sinks = [away_sink()]
    for path in PAGES:
        assert "184,000 values are safe here, about 31 days of room" in words((await client.get(path)).text)


async def test_alarms_have_both_of_their_times(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.alarms, fake.stored_alarms = [device_lost()], troubled().stored_alarms
    text = await text_of(client, "/alarms")
    assert "Critical room-102 " in text
    assert "gas-meter does not answer (cable, power or address) 20 Nov 10:42 – 20 Nov 10:55 · 13 min" in text


async def test_why_shows_formula_inputs_fit_and_lineage(client: httpx.AsyncClient) -> None:
    text = await text_of(client, "/kpi/energy_savings")
    for part in (
        "The energy the building would have used without the change",
        "site.electricity.import",
        "Expected without the change: 41,230 kWh.",
        "Scatter around the model, CV(RMSE) 11.2 %",
        "2,063 of 2,064",
        "verified: the model passes the strict limits",
        "likely, but the range reaches below the target",
        "daily-5p/9f31c2",
        "December 2025",
    ):
        assert part in text


async def test_a_share_short_of_full_is_not_called_full(client: httpx.AsyncClient) -> None:
    assert "Data completeness 99.95 %" in await text_of(client, "/kpi/energy_savings")


async def test_a_value_just_short_of_its_target_does_not_read_as_the_target(
    client: httpx.AsyncClient, fake: FakeGateway
) -> None:
    fake.kpis[0] = msgspec.structs.replace(fake.kpis[0], value=19.97, status=Status.NEAR)
    assert "Energy saved Near 19.97 %" in await text_of(client, "/")


async def test_a_store_with_quarter_hours_only_still_has_a_table(
    client: httpx.AsyncClient, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FakeReader.intervals

    def quarters_only(
        self: FakeReader, series: int, resolution: str, start_ns: int, end_ns: int
    ) -> Intervals:
        return original(self, series, resolution, start_ns, end_ns if resolution == "15m" else start_ns)

    monkeypatch.setattr(FakeReader, "intervals", quarters_only)
    page = (await client.get("/points/main-meter/energy_import?range=7d")).text
    assert "Amount" in page
    assert page.count("<tr>") == 1 + 168


async def test_a_chart_is_drawn_without_javascript(client: httpx.AsyncClient) -> None:
    page = (await client.get("/points/ahu-1/supply_temp")).text
    line = re.search(r'<path class="line" d="([^"]+)"', page)
    assert line
    assert line[1].count("M") >= 3, "the gap, the bad values and the start of raw data lift the pen"
    assert "nan" not in page


async def test_a_counters_table_shows_amounts(client: httpx.AsyncClient) -> None:
    text = await text_of(client, "/points/main-meter/energy_import")
    assert "From Amount Complete" in text


async def test_a_store_that_cannot_be_read_leaves_the_live_page(
    client: httpx.AsyncClient, fake: FakeGateway
) -> None:
    fake.unreadable = True
    assert "live values go on" in await text_of(client, "/points/ahu-1/supply_temp")
    assert "21.3 %" in await text_of(client, "/")
    assert "Values stored" in await text_of(client, "/data")
    assert "No alarm is open." in await text_of(client, "/alarms")


@pytest.mark.parametrize("path", ["/nothing", "/equipment/nothing", "/points/ahu-1/nothing", "/kpi/nothing"])
async def test_what_does_not_exist_is_a_page_with_a_way_back(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert "Back to today" in words(answer.text)


async def test_the_chosen_language_is_remembered(client: httpx.AsyncClient) -> None:
    assert "Aujourd’hui" in (await client.get("/?lang=fr")).text
    assert client.cookies["lang"] == "fr"
    assert "Équipements" in (await client.get("/equipment")).text


async def test_the_language_link_keeps_the_rest_of_the_address(client: httpx.AsyncClient) -> None:
    page = (await client.get("/points/ahu-1/supply_temp?range=7d&lang=en")).text
    assert "/points/ahu-1/supply_temp?range=7d&amp;lang=fr" in page


async def test_navigation_marks_where_one_is(client: httpx.AsyncClient) -> None:
    page = (await client.get("/equipment/ahu-1")).text
    assert re.search(r'<a href="/equipment" aria-current="page"', page)
    assert page.count('aria-current="page"') == 1


async def test_the_data_page_answers_what_waits_and_what_room_is_left(
    client: httpx.AsyncClient, fake: FakeGateway
) -> None:
    fake.sinks = [away_sink()]
    text = await text_of(client, "/data")
    assert "No connection since 02:10 connection refused 184,213 02:10 18,217,900 0" in text
    assert "412 MB of 4.29 GB" in text
    assert "about 31 days" in text
    assert "site.electricity.import" in text


async def test_no_cloud_and_no_device_are_said_plainly() -> None:
    fake = FakeGateway(devices=[], all_points=[], kpis=[])
    fake.sinks = []
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(fake)), base_url="http://127.0.0.1"
    ) as client:
        assert "No device is configured yet." in await text_of(client, "/")
        assert "Add one to devices/" in await text_of(client, "/equipment")
        assert "No cloud is configured; everything stays here." in await text_of(client, "/data")
