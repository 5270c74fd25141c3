"""/api/v1: what programs get, and what they are told when they ask wrongly."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest

from tests.gateway.web.fake_gateway import NOW, FakeGateway, device_lost

SAMPLES = "/api/v1/points/ahu-1/supply_temp/samples"


async def test_the_process_says_that_it_lives(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_readiness_gives_503_and_its_reasons(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    assert (await client.get("/readyz")).json() == {"ready": True, "reasons": []}
    fake.ready, fake.not_ready_because = False, ("no device was polled yet",)
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "reasons": ["no device was polled yet"]}


async def test_status_is_the_whole_status(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/status")).json()
    assert body["store"]["samples_committed"] == 18_402_113
    assert len(body["devices"]) == 15


async def test_points_can_be_asked_for_one_device(client: httpx.AsyncClient) -> None:
    points = (await client.get("/api/v1/points", params={"device": "ahu-1"})).json()["points"]
    assert {point["device"] for point in points} == {"ahu-1"}
    assert points[0]["unit"] == "degC"


async def test_samples_are_columns_and_bad_ones_have_no_value(client: httpx.AsyncClient) -> None:
    body = (await client.get(SAMPLES)).json()
    assert len(body["time"]) == len(body["value"]) == len(body["quality"]) > 1000
    bad = [i for i, quality in enumerate(body["quality"]) if quality >= 32]
    assert len(bad) == 10
    assert all(body["value"][i] is None for i in bad)


async def test_samples_keep_to_the_range_asked_for(client: httpx.AsyncClient) -> None:
    span = {"start": "2026-11-22T08:00:00+01:00", "end": "2026-11-22T09:00:00+01:00"}
    body = (await client.get(SAMPLES, params=span | {"epoch": "ms"})).json()
    first = 1_795_330_800_000
    assert first <= min(body["time"])
    assert max(body["time"]) < first + 3_600_000


async def test_a_time_without_offset_is_the_sites_local_time(client: httpx.AsyncClient) -> None:
    local = {"start": "2026-11-22T08:00", "end": "2026-11-22T09:00"}
    utc = {"start": "2026-11-22T07:00Z", "end": "2026-11-22T08:00Z"}
    answers = [(await client.get(SAMPLES, params=span)).json()["time"] for span in (local, utc)]
    assert answers[0] == answers[1]


async def test_csv_holds_the_same_samples(client: httpx.AsyncClient) -> None:
    columns = (await client.get(SAMPLES)).json()
    answer = await client.get(SAMPLES, params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="ahu-1_supply_temp.csv"' in answer.headers["content-disposition"]
    header, *rows = list(csv.reader(io.StringIO(answer.text)))
    assert header == ["time_utc", "supply_temp_degC", "quality"]
    assert [float(row[1]) if row[1] else None for row in rows] == columns["value"]
    assert rows[0][0].endswith("Z")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{SAMPLES}?start=yesterday", 400),
        (f"{SAMPLES}?start=2026-11-22&end=2026-11-21", 400),
        (f"{SAMPLES}?format=xml", 400),
        (f"{SAMPLES}?start=9999-12-31T23:59:59-14:00", 400),
        ("/api/v1/points/ahu-1/nothing/samples", 404),
        ("/api/v1/points/ahu-1/supply_temp/chart?range=1y", 400),
        ("/api/v1/kpis/nothing/history", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/alarms?state=all&start=x", 400),
    ],
)
async def test_wrong_questions_get_a_problem(client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["title"]


async def test_a_wrong_method_is_a_problem_that_says_which_is_right(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/api/v1/status")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_a_store_that_cannot_be_read_is_a_problem_without_its_inner_words(
    client: httpx.AsyncClient, fake: FakeGateway
) -> None:
    fake.unreadable = True
    answer = await client.get(SAMPLES)
    assert answer.status_code == 500
    assert "malformed" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


async def test_every_reader_is_closed(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    await client.get(SAMPLES)
    fake.unreadable = True
    await client.get(SAMPLES)
    assert [reader.closed for reader in fake.readers] == [True, True]


async def test_kpis_come_with_their_lineage(client: httpx.AsyncClient) -> None:
    kpis = {kpi["kpi"]: kpi for kpi in (await client.get("/api/v1/kpis")).json()["kpis"]}
    savings = kpis["energy_savings"]
    assert (savings["lower"], savings["upper"], savings["model_id"]) == (17.2, 25.4, "daily-5p/9f31c2")
    assert "outdoor.temperature" in savings["inputs"]


async def test_kpi_history_is_oldest_first(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/kpis/energy_savings/history")).json()
    starts = [kpi["start"] for kpi in body["kpis"]]
    assert len(starts) == 11
    assert starts == sorted(starts)


async def test_alarms_are_the_open_ones_or_the_history(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.stored_alarms = [device_lost()]
    assert (await client.get("/api/v1/alarms")).json() == {"alarms": []}
    past = (await client.get("/api/v1/alarms", params={"state": "all"})).json()["alarms"]
    assert [alarm["source"] for alarm in past] == ["room-102"]


async def test_chart_columns_break_the_line_at_a_gap(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/v1/points/ahu-1/supply_temp/chart")).json()
    assert len({len(body[name]) for name in ("time", "value", "lower", "upper")}) == 1
    assert None in body["value"]
    assert body["time"] == sorted(body["time"])


async def test_the_document_describes_every_route(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    wanted = {"/healthz", "/readyz", "/metrics"} | {
        f"/api/v1/{path}"
        for path in (
            "status",
            "devices",
            "points",
            "points/{device}/{point}/samples",
            "points/{device}/{point}/chart",
            "kpis",
            "kpis/{kpi}/history",
            "alarms",
            "stream",
            "config/reload",
        )
    }
    assert set(document["paths"]) == wanted
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation["description"] for operation in operations)
    assert not any("422" in operation["responses"] for operation in operations)


async def test_every_reference_in_the_document_is_defined(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    defined = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) - defined == set()


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return found.union(*(references(child) for child in node.values()))
    if isinstance(node, list):
        return set().union(*(references(child) for child in node))
    return set()


async def test_status_fits_its_published_schema(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    schema = document["components"]["schemas"]["SiteStatus"]
    body = (await client.get("/api/v1/status")).json()
    assert set(schema["required"]) <= set(body) <= set(schema["properties"])


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.lose("room-102")
    answer = await client.get("/metrics")
    lines = answer.text.splitlines()
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "heyzack_samples_committed_total 18402113.0" in lines
    assert 'heyzack_device_up{device="room-102",driver="mqtt"} 0.0' in lines
    assert "heyzack_devices_online 14.0" in lines
    assert 'heyzack_sync_backlog{sink="central"} 212.0' in lines
    assert 'heyzack_kpi{kpi="energy_savings",cadence="monthly",scope="site",unit="%"} 21.3' in lines
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert typed == {line.split("{")[0].split()[0] for line in lines if not line.startswith("#")}


async def test_times_are_in_utc_nanoseconds(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/status")).json()["time"] == NOW
