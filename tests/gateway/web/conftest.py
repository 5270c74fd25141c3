"""A client that speaks to the application without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.web.server import create_app
from tests.gateway.web.fake_gateway import FakeGateway


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def client(fake: FakeGateway) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(fake), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client
