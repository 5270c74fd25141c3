"""Debian's chromium on a page whose gateway a test can change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from gateway.web.server import create_app, serving
from tests.gateway.web.fake_gateway import FakeGateway, troubled

CHROMIUM = Path("/usr/bin/chromium")


class PageServer:
    """The page served from a thread of its own; `fake` is the gateway behind it."""

    def __init__(self, fake: FakeGateway) -> None:
        self.fake = fake
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> PageServer:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not stop"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with serving(create_app(self.fake)) as handle:
            self.url = handle.url.rstrip("/")
            self._started.set()
            await self._stop.wait()


@pytest.fixture
def site() -> Iterator[PageServer]:
    """The building on a bad morning, values moving five times a second."""
    fake = troubled()
    fake.tick_s = 0.2
    server = PageServer(fake).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")  # its loop would stand in the way of the next module's asyncio tests
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield browser
        browser.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser, site: PageServer) -> Iterator[OpenPage]:
    """Opens a path at a width, in a theme and a language; collects what the page complains about."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        # The browser itself logs a stream that a test has cut; the page must not add to that.
        if "net::ERR" not in message.text:
            complaints.append(message.text)

    def open_one(
        path: str, width: int = 360, theme: str = "light", lang: str = "en", javascript: bool = True
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 780},
            color_scheme=theme,  # type: ignore[arg-type]
            locale=lang,
            java_script_enabled=javascript,
            bypass_csp=False,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complain(message) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(site.url) else complaints.append(request.url),
        )
        answer = page.goto(site.url + path)
        assert answer is not None
        assert answer.ok
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []
