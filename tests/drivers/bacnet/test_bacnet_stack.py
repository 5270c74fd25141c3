"""BAC0 as a guest: it leaves nothing behind, takes no foreign port, and ends when told."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bacpypes3.apdu import RejectPDU
from bacpypes3.primitivedata import CharacterString

from drivers.bacnet import fastpath
from drivers.bacnet.driver import create
from drivers.bacnet.settings import LinkSettings
from drivers.base import LinkError


async def _nobody(_):
    raise AssertionError("nothing was subscribed")


def test_loading_the_stack_leaves_no_trace(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / ".env").write_text("HEYZACK_FROM_DOTENV=1\n", encoding="utf-8")
    program = (
        "import os; before = dict(os.environ)\n"
        "import drivers.bacnet.stack\n"
        "assert dict(os.environ) == before, 'the environment changed'\n"
        "import logging\n"
        "names = [n for n in logging.root.manager.loggerDict if n.startswith('BAC0_Root')]\n"
        "assert names and not any(logging.getLogger(n).handlers for n in names), 'handlers stay'\n"
    )
    root = Path(__file__).parents[3]
    environment = {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(root), "PATH": ""}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert list((tmp_path / "home").iterdir()) == []


def test_a_site_without_bacnet_never_loads_the_stack():
    program = (
        "import sys, time; from drivers.registry import KINDS\n"
        "kind = KINDS['bacnet']\n"
        "kind.create('bms', kind.link_settings(address='127.0.0.1'), time.time_ns)\n"
        "assert not {'BAC0', 'bacpypes3'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=True)


async def test_a_link_opens_and_closes_twice_and_leaves_no_task(free_port):
    settings = LinkSettings(address="127.0.0.1/24", port=free_port())
    for _ in range(2):
        driver = create("bms", settings, time.time_ns)
        await driver.open(_nobody)
        await asyncio.sleep(0.05)
        await driver.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
    await driver.close()  # closing what is closed is no error


async def test_an_idle_link_runs_no_task(free_port):
    driver = create("bms", LinkSettings(address="127.0.0.1/24", port=free_port()), time.time_ns)
    await driver.open(_nobody)
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await driver.close()


async def test_two_links_run_side_by_side(free_port):
    drivers = [
        create(name, LinkSettings(address="127.0.0.1/24", port=free_port(), device_instance=n), time.time_ns)
        for n, name in enumerate(["east", "west"], start=3056)
    ]
    for driver in drivers:
        await driver.open(_nobody)
    await drivers[0].close()
    found = await drivers[1].link.stack.app.who_is(timeout=0.05)
    assert found == []
    await drivers[1].close()


async def test_a_taken_port_is_said_at_once(free_port):
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", port))
        with pytest.raises(LinkError, match=f"UDP port {port} on 127.0.0.1 is in use"):
            await create("bms", LinkSettings(address="127.0.0.1/24", port=port), time.time_ns).open(_nobody)


async def test_a_foreign_address_is_said_at_once(free_port):
    settings = LinkSettings(address="192.0.2.1/24", port=free_port())
    with pytest.raises(LinkError, match=r"192\.0\.2\.1 is no address of this machine"):
        await create("bms", settings, time.time_ns).open(_nobody)


async def test_time_outs_and_retries_reach_the_stack(free_port):
    settings = LinkSettings(address="127.0.0.1/24", port=free_port(), apdu_timeout="250ms", retries=2)
    driver = create("bms", settings, time.time_ns)
    await driver.open(_nobody)
    device = driver.link.stack.app.device_object
    assert (device.apduTimeout, device.numberOfApduRetries) == (250, 2)
    await driver.close()


async def test_nobody_on_the_network_can_write_to_the_gateway(free_port):
    ports = free_port(), free_port()
    drivers = [
        create("bms", LinkSettings(address="127.0.0.1/24", port=port, device_instance=3056 + n), time.time_ns)
        for n, port in enumerate(ports)
    ]
    for driver in drivers:
        await driver.open(_nobody)
    stranger, gateway = drivers[1].link.stack.app, drivers[0].link.stack.app
    with pytest.raises(RejectPDU, match="unrecognized-service"):
        await stranger.write_property(
            f"127.0.0.1:{ports[0]}", "device,3056", "object-name", CharacterString("x")
        )
    assert gateway.device_object.objectName == "heyzack-gateway"
    for driver in drivers:
        await driver.close()


async def test_an_untested_library_version_is_said_and_polled_the_standard_way(caplog):
    with caplog.at_level(logging.WARNING, logger=fastpath.__name__):
        assert fastpath.install(object(), "9.9.9") is None
    assert "9.9.9 is untested" in caplog.text


async def test_a_link_registers_with_a_bbmd_and_unregisters(free_port):
    bbmd_port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bbmd:
        bbmd.bind(("127.0.0.1", bbmd_port))
        bbmd.setblocking(False)
        settings = LinkSettings.model_validate(
            {
                "address": "127.0.0.1/24",
                "port": free_port(),
                "bbmd": {"address": f"127.0.0.1:{bbmd_port}", "ttl": "60s"},
            }
        )
        driver = create("bms", settings, time.time_ns)
        await driver.open(_nobody)
        async with asyncio.timeout(2):
            frame = await asyncio.get_running_loop().sock_recv(bbmd, 100)
        assert frame == bytes.fromhex("810500 06 003c".replace(" ", ""))
        await driver.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
