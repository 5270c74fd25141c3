"""Gives every configured point, every role and the gateway's own heartbeat a series in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.base import Kind
from gateway.site import SITE_DEVICE, Installation, PointSpec
from gateway.store.catalogue import Catalogue, SeriesSpec

PointKey = tuple[str, str]
HEARTBEAT: PointKey = ("_gateway", "heartbeat")
"""One sample a minute while the gateway runs: what system_uptime is computed from."""


def register(catalogue: Catalogue, installation: Installation) -> dict[PointKey, int]:
    """(device, point) -> series id, created where it is new."""
    wanted = [
        SeriesSpec(point.device, point.name, point.quantity, point.unit, str(point.kind))
        for device in installation.devices.values()
        for point in device.points
    ]
    wanted += [
        SeriesSpec(SITE_DEVICE, role.name, role.quantity, role.unit, str(role.kind))
        for role in installation.roles.values()
    ]
    wanted.append(SeriesSpec(*HEARTBEAT, "state", "1", str(Kind.STATE)))
    return catalogue.register(wanted)


def by_series(installation: Installation, ids: Mapping[PointKey, int]) -> dict[int, PointSpec]:
    """Series id -> point, for every configured point."""
    return {ids[point.key]: point for device in installation.devices.values() for point in device.points}
