"""Whether a serial line has the time for what is asked over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from drivers.base import Point
from gateway.config.devices import BuiltDevice
from gateway.config.errors import Problems
from gateway.site import DeviceSpec, LinkSpec

FULL = 1.0
BUSY = 0.8
"""Above this share nothing is left for a retry, a dead device's timeout or a write."""
_PERIODS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)


def check_bus_load(devices: Iterable[BuiltDevice], links: Mapping[str, LinkSpec], problems: Problems) -> None:
    """Note serial lines that are polled for more than they can carry, at the device that needs most."""
    by_link: dict[str, list[BuiltDevice]] = {}
    for device in devices:
        if links[device.spec.link].driver == "modbus-rtu":
            by_link.setdefault(device.spec.link, []).append(device)
    for link, members in by_link.items():
        shares = {device.spec.name: _share(device.spec, links[link]) for device in members}
        load = sum(shares.values())
        if load < BUSY:
            continue
        worst = max(members, key=lambda device: shares[device.spec.name])
        message = f"link {link}: this RS-485 line needs {load:.0%} of its second"
        hint = _remedy(worst.spec, shares[worst.spec.name], load)
        known = worst.node.child("every")
        place = known.place if known else worst.place
        if load > FULL:
            problems.add(place, "bus-load", message, hint)
        else:
            problems.warn(place, "bus-load", message, hint)


def _share(device: DeviceSpec, link: LinkSpec) -> float:
    """Seconds of line time that a device's polls need each second."""
    from drivers.modbus.busload import poll_seconds
    from drivers.modbus.settings import DeviceSettings, RtuLinkSettings

    assert isinstance(device.settings, DeviceSettings)  # noqa: S101 - the driver's own model
    assert isinstance(link.settings, RtuLinkSettings)  # noqa: S101
    ordered = sorted(device.points, key=lambda point: point.every_s)
    load = 0.0
    for every_s, members in groupby(ordered, key=lambda point: point.every_s):
        points = [Point(0, device.name, p.name, p.source, p.quantity, p.unit, p.source_unit) for p in members]
        load += poll_seconds(points, device.settings, link.settings) / every_s
    return load


def _remedy(device: DeviceSpec, share: float, load: float) -> str:
    """A period for the device that needs most; for all where that alone does not help."""
    room = BUSY - (load - share)
    fastest = min(point.every_s for point in device.points)
    wanted = fastest * share / room if room > 0 else float("inf")
    period = next((p for p in _PERIODS if p >= wanted), None)
    if period is not None and wanted <= 10 * fastest:
        return f"poll {device.name} every {period}s instead"
    slower = next((p for p in _PERIODS if p >= fastest * load / BUSY), _PERIODS[-1])
    return f"poll the devices of this line every {slower}s instead, or raise its baudrate"
