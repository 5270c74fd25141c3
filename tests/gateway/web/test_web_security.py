"""Headers on every answer; writes from this machine only."""

from __future__ import annotations

import httpx
import pytest

from gateway.web.server import create_app
from gateway.web.sources import ReloadReport
from tests.gateway.web.fake_gateway import FakeGateway

RELOAD = "/api/v1/config/reload"
OURS = {"X-HeyZack": "1"}


def client_from(fake: FakeGateway, address: str, base: str = "http://127.0.0.1:8080") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(fake), client=(address, 50000))
    return httpx.AsyncClient(transport=transport, base_url=base)


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/v1/status", "/static/app.js", "/metrics"])
async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["/", "/equipment", "/points/ahu-1/supply_temp", "/data", "/kpi/energy_savings"]
)
async def test_no_page_has_inline_script_or_style(client: httpx.AsyncClient, path: str) -> None:
    html = (await client.get(path)).text
    assert " style=" not in html
    assert "<style" not in html
    assert "<script>" not in html
    assert " onclick=" not in html


async def test_a_reload_from_this_machine_is_done(fake: FakeGateway) -> None:
    async with client_from(fake, "127.0.0.1") as client:
        answer = await client.post(RELOAD, headers=OURS)
    assert answer.status_code == 200
    assert answer.json()["changed"] == ["device ahu-1"]
    assert fake.reloads == 1


async def test_json_content_type_is_as_good_as_the_header(fake: FakeGateway) -> None:
    async with client_from(fake, "::1", "http://[::1]:8080") as client:
        assert (await client.post(RELOAD, json={})).status_code == 200


async def test_a_reload_with_errors_is_a_conflict_and_says_them(fake: FakeGateway) -> None:
    fake.reload_report = ReloadReport(applied=False, errors=("site.yaml:3:5 unknown key",))
    async with client_from(fake, "127.0.0.1") as client:
        answer = await client.post(RELOAD, headers=OURS)
    assert answer.status_code == 409
    assert answer.json()["errors"] == ["site.yaml:3:5 unknown key"]


@pytest.mark.parametrize(
    ("address", "base", "headers"),
    [
        ("192.168.1.20", "http://127.0.0.1:8080", OURS),
        ("127.0.0.1", "http://evil.example:8080", OURS),
        ("127.0.0.1", "http://127.0.0.1.evil.example:8080", OURS),
        ("127.0.0.1", "http://127.0.0.1:8080", {}),
        ("127.0.0.1", "http://127.0.0.1:8080", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("127.0.0.1", "http://127.0.0.1:8080", {"Content-Type": "text/plain"}),
        ("127.0.0.1", "http://127.0.0.1:8080", OURS | {"X-Forwarded-For": "10.0.0.9"}),
        ("127.0.0.1", "http://127.0.0.1:8080", OURS | {"Forwarded": "for=10.0.0.9"}),
    ],
    ids=["lan", "rebound", "lookalike", "bare", "form", "text", "proxied", "forwarded"],
)
async def test_a_write_from_elsewhere_is_refused_and_does_nothing(
    fake: FakeGateway, address: str, base: str, headers: dict[str, str]
) -> None:
    async with client_from(fake, address, base) as client:
        answer = await client.post(RELOAD, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert fake.reloads == 0


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py"]
)
async def test_static_files_do_not_reach_outside_their_folder(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert "uvicorn" not in answer.text


async def test_names_from_the_field_are_escaped(client: httpx.AsyncClient, fake: FakeGateway) -> None:
    fake.lose("room-102", fault="device_error", detail="<script>alert(1)</script>")
    html = (await client.get("/equipment/room-102")).text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


async def test_assets_with_their_digest_are_cached_for_good(client: httpx.AsyncClient) -> None:
    cached = await client.get("/static/app.css", params={"v": "abc"})
    assert "immutable" in cached.headers["cache-control"]
    assert (await client.get("/static/app.css")).headers["cache-control"] == "no-cache"
    assert (await client.get("/")).headers["cache-control"] == "no-store"
