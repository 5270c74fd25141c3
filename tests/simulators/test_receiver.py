"""The simulated cloud: what it takes, counts, keeps and gives back."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS

from simulators.cloud import CloudFault, Receiver

T0 = 1_700_000_000
TEMPERATURE = f"temperature,device=ahu-1,point=supply_temp,site=hq,unit=degC quality=0,value=21.5 {T0}"


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    cloud = Receiver("127.0.0.1", 0, tmp_path)
    await cloud.start()
    yield cloud
    await cloud.stop()


@pytest.fixture
async def client(receiver: Receiver) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=receiver.url) as http:
        yield http


async def write(client: httpx.AsyncClient, *lines: str, precision: str = "s") -> httpx.Response:
    return await client.post(f"/api/v2/write?org=o&bucket=b&precision={precision}", content="\n".join(lines))


async def stats(client: httpx.AsyncClient) -> dict[str, object]:
    answer: dict[str, object] = (await client.get("/stats")).json()
    return answer


async def query(client: httpx.AsyncClient, text: str, epoch: str = "s") -> list[dict[str, object]]:
    answer = await client.get("/query", params={"q": text, "epoch": epoch})
    assert answer.status_code == 200, answer.text
    series: list[dict[str, object]] = answer.json()["results"][0].get("series", [])
    return series


async def test_it_counts_samples_intervals_and_facts_apart(client: httpx.AsyncClient) -> None:
    answer = await write(
        client,
        TEMPERATURE,
        f"temperature_15m,device=ahu-1,point=supply_temp,site=hq,unit=degC mean=21.5,count=15.0 {T0}",
        f'kpi,kpi=energy_use,site=hq value=12.0,status="on_track" {T0}',
        f'event,kind=start,source=gateway message="up, and running" {T0}',
    )
    assert answer.status_code == 204
    assert await stats(client) == {
        "samples": 1,
        "intervals": 1,
        "facts": 2,
        "samples_overwritten": 0,
        "lines_total": 4,
        "by_measurement": {"event": 1, "kpi": 1, "temperature": 1, "temperature_15m": 1},
    }


async def test_the_same_point_again_is_an_overwrite_and_no_new_sample(client: httpx.AsyncClient) -> None:
    await write(client, TEMPERATURE)
    await write(client, TEMPERATURE, TEMPERATURE.replace("21.5", "22.5"))
    counted = await stats(client)
    assert (counted["samples"], counted["samples_overwritten"]) == (1, 2)
    (series,) = await query(client, 'SELECT "value" FROM "temperature"')
    assert series["values"] == [[T0, 22.5]]


async def test_the_order_of_tags_does_not_matter(client: httpx.AsyncClient) -> None:
    await write(client, f"t,a=1,b=2 value=1.0 {T0}", f"t,b=2,a=1 value=2.0 {T0}")
    assert (await stats(client))["samples"] == 1


async def test_fields_of_a_point_written_apart_are_merged(client: httpx.AsyncClient) -> None:
    await write(client, f'kpi,kpi=x value=1.0,status="below",reason="a, \\"b\\" c" {T0}')
    await write(client, f'kpi,kpi=x status="on_track",lower=0.5 {T0}')
    (series,) = await query(client, "SELECT * FROM kpi")
    shown = dict(zip(series["columns"], series["values"][0], strict=True))
    assert shown == {"time": T0, "value": 1.0, "status": "on_track", "lower": 0.5, "reason": 'a, "b" c'}


@pytest.mark.parametrize(("precision", "scale"), [("ns", 10**9), ("us", 10**6), ("ms", 10**3), ("s", 1)])
async def test_it_takes_every_precision(client: httpx.AsyncClient, precision: str, scale: int) -> None:
    await write(client, f"t value=1.0 {T0 * scale}", precision=precision)
    (series,) = await query(client, 'SELECT "value" FROM t')
    assert series["values"] == [[T0, 1.0]]


async def test_it_takes_gzip_and_the_v1_api(client: httpx.AsyncClient) -> None:
    packed = gzip.compress(f"t value=1.0 {T0}\n".encode())
    answer = await client.post(
        "/write?db=building&precision=s", content=packed, headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 204
    assert (await stats(client))["samples"] == 1


async def test_good_lines_are_kept_beside_a_bad_one_and_the_bad_one_is_named(
    client: httpx.AsyncClient,
) -> None:
    answer = await write(client, f"t value=1.0 {T0}", f"t value=abc {T0}", f"t,tag= value=1.0 {T0}", "t")
    assert answer.status_code == 400
    for part in ("value=abc", "invalid number", "missing tag value", "missing fields"):
        assert part in answer.json()["message"]
    assert (await stats(client))["samples"] == 1


async def test_broken_gzip_and_unknown_precision_are_refused(client: httpx.AsyncClient) -> None:
    broken = await client.post("/api/v2/write", content=b"nonsense", headers={"Content-Encoding": "gzip"})
    assert broken.status_code == 400
    assert (await write(client, "t value=1 1", precision="h")).status_code == 400


async def test_a_restart_loses_nothing_and_goes_on_counting(tmp_path: Path) -> None:
    for expected in (1, 2):
        cloud = Receiver("127.0.0.1", 0, tmp_path)
        await cloud.start()
        async with httpx.AsyncClient(base_url=cloud.url) as client:
            await write(client, TEMPERATURE, f"t value=1.0 {expected}")
            counted = await stats(client)
        await cloud.stop()
        assert counted["samples"] == expected + 1
        assert counted["samples_overwritten"] == expected - 1
        assert counted["lines_total"] == 2 * expected


async def test_without_the_token_nobody_writes_or_reads(tmp_path: Path) -> None:
    cloud = Receiver("127.0.0.1", 0, tmp_path, token="s3cret")
    await cloud.start()
    async with httpx.AsyncClient(base_url=cloud.url) as client:
        assert (await write(client, TEMPERATURE)).status_code == 401
        assert (await client.get("/query?q=SELECT * FROM t")).status_code == 401
        for headers in ({"Authorization": "Token s3cret"}, {"Authorization": "Bearer s3cret"}):
            answer = await client.post("/api/v2/write", content=TEMPERATURE, headers=headers)
            assert answer.status_code == 204
        basic = httpx.BasicAuth("anybody", "s3cret")
        assert (await client.post("/write", content=TEMPERATURE, auth=basic)).status_code == 204
        assert (await client.get("/ping")).status_code == 204
        assert (await client.get("/stats")).json()["samples"] == 1
    await cloud.stop()


async def test_a_fault_answers_as_told_and_ends(receiver: Receiver, client: httpx.AsyncClient) -> None:
    receiver.fault = CloudFault(status=503, retry_after="7")
    answer = await write(client, TEMPERATURE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert (await stats(client))["samples"] == 0
    receiver.fault = CloudFault(status=500, stored=True)
    assert (await write(client, TEMPERATURE)).status_code == 500
    receiver.fault = CloudFault(delay_s=0.2)
    begun = time.monotonic()
    assert (await write(client, TEMPERATURE)).status_code == 204
    assert time.monotonic() - begun >= 0.2
    receiver.fault = None
    assert (await write(client, TEMPERATURE)).status_code == 204
    assert (await stats(client))["samples_overwritten"] == 2


async def test_queries_select_by_tag_and_time_and_group(client: httpx.AsyncClient) -> None:
    await write(
        client,
        *(
            f"co2,device=room-{room},site=hq value={400 + 10 * room + i}.0 {T0 + i}"
            for room in (1, 2)
            for i in range(5)
        ),
    )
    (series,) = await query(
        client,
        "SELECT value FROM co2 WHERE device='room-2' AND time >= 1700000001s AND time < 1700000003s",
    )
    assert series["values"] == [[T0 + 1, 421.0], [T0 + 2, 422.0]]
    groups = await query(client, "SELECT count(value), mean(value), max(value) FROM co2 GROUP BY device")
    assert [(group["tags"], group["values"][0][1:]) for group in groups] == [
        ({"device": "room-1"}, [5, 412.0, 414.0]),
        ({"device": "room-2"}, [5, 422.0, 424.0]),
    ]
    (newest,) = await query(
        client, "SELECT value FROM co2 WHERE device = 'room-1' ORDER BY time DESC LIMIT 1"
    )
    assert newest["values"] == [[T0 + 4, 414.0]]
    (dated,) = await query(client, "SELECT count(*) FROM co2 WHERE time <= '2023-11-14T22:13:20Z'", epoch="")
    assert dated["columns"] == ["time", "count_value"]
    assert dated["values"][0][1] == 2


async def test_what_the_subset_has_not_is_said(client: httpx.AsyncClient) -> None:
    answer = await client.get("/query", params={"q": "DROP DATABASE building"})
    assert answer.status_code == 400
    assert "unsupported statement" in answer.json()["error"]


async def test_influxdb_client_finds_a_server(receiver: Receiver) -> None:
    """The official client's own write, ping and health."""

    def use() -> tuple[bool, str]:
        with InfluxDBClient(receiver.url, token="any", org="o") as client:
            point = Point("t").tag("device", "x").field("value", 1.0).time(T0, WritePrecision.S)
            client.write_api(write_options=SYNCHRONOUS).write("b", record=point, write_precision="s")
            return client.ping(), client.version()

    assert await asyncio.to_thread(use) == (True, "2.7.0-heyzack")
    assert (await receiver.stats())["samples"] == 1


async def test_a_taken_port_is_an_error(receiver: Receiver, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        await Receiver("127.0.0.1", receiver.port, tmp_path / "other").start()
