"""What the page and the alarms are shown of points and devices."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.base import Batch, Fault, FaultCode, Kind, Quality, Settings
from gateway.devices import DeviceBoard
from gateway.live import LiveTable
from gateway.site import DeviceSpec, PointSpec
from gateway.snapshot import PointView

NOW = 1_790_000_000_000_000_000
IDS = {("ahu", "supply"): 3, ("ahu", "return"): 1, ("meter", "power"): 2}


def point(device: str, name: str) -> PointSpec:
    return PointSpec(
        device=device,
        name=name,
        source=Settings(),
        quantity="temperature",
        unit="degC",
        source_unit="degC",
        kind=Kind.GAUGE,
        every_s=10.0,
    )


@pytest.fixture
def live() -> LiveTable:
    table = LiveTable()
    table.make_room(9)
    return table


@pytest.fixture
def board() -> DeviceBoard:
    return DeviceBoard()


@pytest.fixture
def view(live: LiveTable, board: DeviceBoard) -> PointView:
    devices = {
        name: DeviceSpec(name, "link", "modbus-tcp", Settings(), points)
        for name, points in {
            "ahu": (point("ahu", "supply"), point("ahu", "return")),
            "meter": (point("meter", "power"),),
        }.items()
    }
    board.use(devices.values())
    return PointView(live, board, devices, IDS)


def test_points_come_in_the_order_of_the_configuration(view: PointView) -> None:
    assert [point.series for point in view.points()] == [3, 1, 2]
    assert [point.point for point in view.points("ahu")] == ["supply", "return"]
    assert view.points("nobody") == []


def test_series_that_nobody_configured_are_left_out(view: PointView) -> None:
    assert [point.device for point in view.by_series([7, 2])] == ["meter"]


def test_bad_points_are_those_heard_of_that_have_no_value(view: PointView, live: LiveTable) -> None:
    assert view.bad_points() == []  # nothing was heard yet: that is no fault
    live.update(Batch.of([3, 1, 7], NOW, [21.0, np.nan, np.nan], [0, Quality.FAULT, Quality.FAULT]))
    assert [(point.series, point.value) for point in view.bad_points()] == [(1, None)]


def test_a_device_counts_its_good_points(view: PointView, live: LiveTable) -> None:
    live.update(Batch.of([3, 1], NOW, [21.0, np.nan], [0, Quality.FAULT]))
    ahu, meter = view.device_statuses()
    assert (ahu.points, ahu.points_good, ahu.every_s) == (2, 1, 10.0)
    assert (meter.points, meter.points_good) == (1, 0)


def test_a_points_fault_ends_when_a_poll_finds_it_well(view: PointView, board: DeviceBoard) -> None:
    board.points("ahu", [3, 1], {1: Fault(FaultCode.NO_SUCH_ADDRESS)})
    assert [point.fault for point in view.points("ahu")] == ["", "no_such_address"]
    board.points("ahu", [3, 1], {})
    assert [point.fault for point in view.points("ahu")] == ["", ""]
