"""faults.md 29: a renamed point and a swapped meter go on in their series; what did not change is not
reconnected.

Seen failing without the handling: with `Field.apply` ending every link (its comparison of specs removed) the
same configuration again makes new connections; with the alias of `Catalogue.rename` not written, going back
to the old name begins a new series.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config import load
from gateway.store.reader import Reader
from gateway.store.store import Store
from simulators.modbus import ModbusServer
from tests.faults.harness import device, point, register, running, seconds, until, write


class CountingServer(ModbusServer):
    """Counts the connections that were ever made."""

    made = 0

    def joined(self, connection: object) -> None:
        self.made += 1
        super().joined(connection)  # type: ignore[arg-type]


@pytest.fixture
async def meters() -> AsyncIterator[list[CountingServer]]:
    servers = [
        CountingServer("127.0.0.1", 0, {1: [register("power", 0, seconds)]}, time.time_ns) for _ in "ab"
    ]
    for server in servers:
        await server.start()
    yield servers
    for server in servers:
        await server.stop()


def site(
    meters: list[CountingServer], *, every_b: str = "200ms", timeout_b: str = "1s", name: str = "power"
) -> str:
    def one(meter: str, server: CountingServer, every: str, timeout: str, called: str) -> str:
        return (
            f"  {meter}: {{driver: modbus-tcp, host: 127.0.0.1, port: {server.port}, every: {every}, "
            f"timeout: {timeout}, "
            f"points: {{{called}: {{register: 0, type: f64, unit: kW, quantity: electric_power}}}}}}\n"
        )

    a, b = meters
    return "devices:\n" + one("a", a, "200ms", "1s", name) + one("b", b, every_b, timeout_b, "power")


async def both_polled(gateway: Gateway) -> None:
    since = time.time_ns()
    for name in ("a", "b"):
        await until(lambda name=name: device(gateway, name).last_answer > since, 10, name)  # type: ignore[misc]


async def test_the_same_configuration_again_reconnects_nobody(
    tmp_path: Path, meters: list[CountingServer]
) -> None:
    async with running(write(tmp_path, site(meters))) as gateway:
        await both_polled(gateway)
        report = await gateway.reload()
        assert report.applied
        assert not report.changed
        await both_polled(gateway)
        assert [server.made for server in meters] == [1, 1]


async def test_a_changed_device_alone_reconnects(tmp_path: Path, meters: list[CountingServer]) -> None:
    async with running(write(tmp_path, site(meters))) as gateway:
        await both_polled(gateway)
        write(tmp_path, site(meters, timeout_b="2s"))
        assert (await gateway.reload()).applied
        await both_polled(gateway)
        assert [server.made for server in meters] == [1, 2]


def series_of(folder: Path, name: str) -> list[int]:
    with Reader(folder / "state") as reader:
        return [one.series for one in reader.series() if (one.device, one.point) == ("a", name)]


async def test_a_renamed_point_and_a_swapped_meter_keep_their_series_and_history(
    tmp_path: Path, meters: list[CountingServer]
) -> None:
    async with running(write(tmp_path, site(meters))) as gateway:
        await both_polled(gateway)
    (series,) = series_of(tmp_path, "power")
    installation = load(tmp_path)
    store = Store.open(installation.store.path, now=time.time_ns, settings=installation.store, site="faults")
    store.catalogue.rename(("a", "power"), ("a", "active_power"))
    assert store.catalogue.start_epoch(series, "meter swapped") == 1
    await store.close()
    swapped = time.time_ns()
    async with running(write(tmp_path, site(meters, name="active_power"))) as gateway:
        await both_polled(gateway)
        assert point(gateway, "active_power", "a").series == series
    assert series_of(tmp_path, "active_power") == [series]
    with Reader(tmp_path / "state") as reader:
        times = reader.samples(series, 0, 1 << 62).time
        (info,) = [one for one in reader.series() if one.series == series]
    assert times[0] < swapped < times[-1], "one history before and after"
    assert info.epoch == 1
    async with running(write(tmp_path, site(meters))) as gateway:
        assert point(gateway, "power", "a").series == series, "the old name is still known"
