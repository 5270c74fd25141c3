"""Live values: one source, many viewers, none of whom can hold up a shutdown or the others."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from gateway.web.languages import load_languages
from gateway.web.live import LiveHub, status_version
from gateway.web.server import create_app, serve, serving
from tests.gateway.web.fake_gateway import FakeGateway, device_lost

LANGUAGES = load_languages()


@pytest.fixture
def quick() -> FakeGateway:
    return FakeGateway(tick_s=0.02)


async def next_event(stream: AsyncIterator[bytes], name: str) -> Any:
    async with asyncio.timeout(5):
        async for chunk in stream:
            lines = chunk.decode().splitlines()
            if f"event: {name}" in lines:
                return json.loads(next(line for line in lines if line.startswith("data: "))[6:])
    raise AssertionError(f"the stream ended without {name}")


async def test_a_viewer_first_gets_the_status_then_the_points(quick: FakeGateway) -> None:
    hub = LiveHub(quick, LANGUAGES)
    stream = hub.stream("en")
    status = await next_event(stream, "status")
    assert (status["devices"], status["online"]) == (15, 15)
    row = (await next_event(stream, "points"))["points"][0]
    assert row["device"] == "main-meter"
    assert row["text"].endswith("kWh")
    await hub.close()


async def test_each_viewer_reads_its_own_language(quick: FakeGateway) -> None:
    hub = LiveHub(quick, LANGUAGES)
    french, english = hub.stream("fr"), hub.stream("en")
    words = [(await next_event(one, "points"))["points"][0]["words"] for one in (french, english)]
    assert words == ["valide", "good"]
    await hub.close()


async def test_changes_are_read_once_for_all_viewers(quick: FakeGateway) -> None:
    reads = 0
    original = quick.changes

    async def counted() -> AsyncIterator[Any]:
        nonlocal reads
        reads += 1
        async for points in original():
            yield points

    quick.changes = counted  # type: ignore[method-assign]
    hub = LiveHub(quick, LANGUAGES)
    streams = [hub.stream("en") for _ in range(20)]
    await asyncio.gather(*(next_event(one, "points") for one in streams))
    assert (hub.viewers, reads) == (20, 1)
    await hub.close()


async def test_nothing_runs_while_nobody_watches(quick: FakeGateway) -> None:
    hub = LiveHub(quick, LANGUAGES)
    stream = hub.stream("en")
    await next_event(stream, "status")
    assert len(running_tasks()) == 2
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0.05)
    assert hub.viewers == 0
    assert running_tasks() == []


def running_tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("web-live")]


async def test_a_viewer_that_does_not_read_loses_old_ticks_only(quick: FakeGateway) -> None:
    hub = LiveHub(quick, LANGUAGES)
    slow, fast = hub.stream("en"), hub.stream("en")
    await next_event(slow, "status")
    for _ in range(20):
        newest = await next_event(fast, "points")
    row = (await next_event(slow, "points"))["points"][0]
    behind = (newest["points"][0]["time"] - row["time"]) / 1e9
    assert 0 <= behind <= 12
    await hub.close()


async def test_a_source_that_breaks_is_taken_up_again(
    quick: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.live.STATUS_EVERY_S", 0.01)
    original, broken = quick.changes, [True]

    async def breaks_once() -> AsyncIterator[Any]:
        if broken.pop() if broken else False:
            raise RuntimeError("the field went away")
        async for points in original():
            yield points

    quick.changes = breaks_once  # type: ignore[method-assign]
    hub = LiveHub(quick, LANGUAGES)
    assert (await next_event(hub.stream("en"), "points"))["points"]
    await hub.close()


def test_the_version_changes_with_what_the_page_says_and_not_with_moving_figures() -> None:
    fake = FakeGateway()
    before = status_version(fake.status())
    fake.store = msgspec.structs.replace(fake.store, samples_committed=1)
    fake.devices = [msgspec.structs.replace(one, latency_ms=99.0, last_answer=5) for one in fake.devices]
    assert status_version(fake.status()) == before
    fake.alarms = [device_lost()]
    assert status_version(fake.status()) != before


async def test_a_stop_does_not_wait_for_open_streams(quick: FakeGateway) -> None:
    handle = await serve(create_app(quick), "127.0.0.1", 0)
    async with httpx.AsyncClient() as client, client.stream("GET", f"{handle.url}api/v1/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        chunks = answer.aiter_bytes()
        await next_event(chunks, "points")
        started = time.monotonic()
        await handle.stop()
        assert time.monotonic() - started < 1.5


async def test_a_viewer_that_leaves_is_forgotten(quick: FakeGateway) -> None:
    app = create_app(quick)
    async with serving(app) as handle:
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", f"{handle.url}api/v1/stream") as answer,
        ):
            await next_event(answer.aiter_bytes(), "points")
            assert app.state.hub.viewers == 1
        async with asyncio.timeout(3):
            while app.state.hub.viewers:  # noqa: ASYNC110 - what is seen from outside has no event
                await asyncio.sleep(0.02)


async def test_an_address_in_use_is_an_error_and_not_the_end_of_the_process(quick: FakeGateway) -> None:
    async with serving(create_app(quick)) as first:
        with pytest.raises(OSError, match="in use"):
            await serve(create_app(quick), "127.0.0.1", first.port)


async def test_it_says_where_it_really_listens(quick: FakeGateway) -> None:
    async with serving(create_app(quick)) as handle, httpx.AsyncClient() as client:
        assert (handle.host, handle.port > 0) == ("127.0.0.1", True)
        assert (await client.get(f"{handle.url}healthz")).status_code == 200
