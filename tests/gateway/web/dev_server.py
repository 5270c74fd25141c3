"""The page on a fake gateway, for looking at it: `python -m tests.gateway.web.dev_server [port] [state]`."""

from __future__ import annotations

import asyncio
import sys

from gateway.status import ImportStatus
from gateway.web.server import create_app, serving
from tests.gateway.web.fake_gateway import FakeGateway, troubled


def gateway_in(state: str) -> FakeGateway:
    """calm, troubled, or first: nothing computed yet while the past is imported."""
    if state == "troubled":
        return troubled()
    if state == "first":
        return FakeGateway(kpis=[], importing=ImportStatus(done=412_000, total=1_930_000), worker="starting")
    return FakeGateway()


async def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8099
    state = sys.argv[2] if len(sys.argv) > 2 else "troubled"
    async with serving(create_app(gateway_in(state)), port=port) as handle:
        sys.stdout.write(f"{handle.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
