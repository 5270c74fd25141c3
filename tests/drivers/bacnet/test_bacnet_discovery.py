"""Who-Is by unicast, which is what loopback allows; broadcasts are for network namespaces."""

from __future__ import annotations

from drivers.bacnet.discovery import scan, who_is
from drivers.bacnet.settings import LinkSettings


async def test_a_device_tells_who_it_is(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        (found,) = await who_is(b.driver.link.stack.app, timeout=0.3, address=f"127.0.0.1:{b.port}")
        assert (found.instance, found.address) == (1201, f"127.0.0.1:{b.port}")
        assert (found.name, found.vendor, found.model) == ("ahu-1", "HeyZack", "HeyZack simulated device")


async def test_devices_outside_the_range_stay_quiet(bench):
    async with bench({"analog-input,1": 20.0}) as b:
        assert await who_is(b.driver.link.stack.app, 1, 100, timeout=0.2, address=f"127.0.0.1:{b.port}") == []


async def test_a_scan_brings_its_own_port_and_asks_each_address(bench, free_port):
    async with bench({"analog-input,1": 20.0}) as b:
        settings = LinkSettings(address="127.0.0.1/24", port=free_port(), device_instance=3057)
        addresses = [f"127.0.0.1:{b.port}", f"127.0.0.1:{free_port()}"]
        assert [device.instance for device in await scan(settings, timeout=0.3, addresses=addresses)] == [
            1201
        ]
