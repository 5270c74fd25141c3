"""`heyzack alarm list` against the page of a building on a bad morning, and of one that is well."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.web.server import create_app, serving
from tests.gateway.web.fake_gateway import FakeGateway, troubled

DEMO = str(Path(__file__).parents[3] / "configs" / "demo")


async def heyzack_alarm_list(fake: FakeGateway, *options: str) -> Result:
    async with serving(create_app(fake)) as handle:
        arguments = ["alarm", "list", "--config", DEMO, "--url", handle.url, *options]
        return await asyncio.to_thread(CliRunner().invoke, main, arguments)


async def test_open_alarms_are_listed_with_their_source_and_time() -> None:
    fake = troubled()
    result = await heyzack_alarm_list(fake)
    assert result.exit_code == 1
    for alarm in fake.status().alarms:
        assert alarm.source in result.output
        assert alarm.kind in result.output
    assert "open" in result.output


async def test_the_json_list_is_the_apis_own() -> None:
    fake = troubled()
    listed = json.loads((await heyzack_alarm_list(fake, "--json")).output)
    assert [alarm["source"] for alarm in listed] == [alarm.source for alarm in fake.status().alarms]


async def test_a_building_that_is_well_has_none_and_exits_0() -> None:
    result = await heyzack_alarm_list(FakeGateway())
    assert (result.exit_code, result.output.strip()) == (0, "no alarm")
