"""A replayed meter: what its registers say at each instant of the recording."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Device, PollGroup, Quality
from drivers.modbus.driver import create
from drivers.modbus.settings import DeviceSettings, TcpLinkSettings
from drivers.templates import load_template
from simulators.modbus import ModbusServer
from simulators.replay import ENERGY, POWER, Recording, RecordingError, load_csv
from tests.drivers.modbus.simulated_meter import discard, points_of

PARIS = ZoneInfo("Europe/Paris")
QUARTER = 900 * 1_000_000_000
LOAD = "2025-01-06 08:00,4\n2025-01-06 08:15,8\n2025-01-06 08:30,nan\n2025-01-06 09:00,2\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "load.csv"
    path.write_text(text, encoding="utf-8")
    return path


def ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return load_csv(write(tmp_path, LOAD), PARIS)


def test_rows_are_laid_on_a_regular_grid_with_their_gaps(recording: Recording) -> None:
    assert recording.start_ns == ns("2025-01-06T08:00+01:00")
    assert recording.step_ns == QUARTER
    np.testing.assert_array_equal(recording.power_kw, [4, 8, np.nan, np.nan, 2])


@pytest.mark.parametrize(
    ("at", "energy", "power"),
    [
        ("08:00:00", 0.0, 4.0),
        ("08:07:30", 0.5, 4.0),
        ("08:15:00", 1.0, 8.0),
        ("09:00:00", 3.0, 2.0),
        ("09:15:00", 3.5, 2.0),
    ],
)
def test_registers_hold_the_energy_so_far_and_the_power_of_the_step(
    recording: Recording, at: str, energy: float, power: float
) -> None:
    at_ns = ns(f"2025-01-06T{at}+01:00")
    assert (recording.energy_at(at_ns), recording.power_at(at_ns)) == (energy, power)


@pytest.mark.parametrize("at", ["07:59:59", "08:30:00", "08:59:59", "09:15:01"])
def test_it_is_off_the_wire_in_gaps_and_outside_the_recording(recording: Recording, at: str) -> None:
    at_ns = ns(f"2025-01-06T{at}+01:00")
    assert math.isnan(recording.energy_at(at_ns))
    assert math.isnan(recording.power_at(at_ns))


@given(st.lists(st.one_of(st.just(math.nan), st.floats(0, 1000)), min_size=1, max_size=50))
def test_one_poll_at_each_edge_finds_energy_and_peak(power: list[float]) -> None:
    recording = Recording.of(0, QUARTER, np.array([*power, 1.0]))
    edges = range(0, recording.end_ns + 1, QUARTER)
    energy = [recording.energy_at(at) for at in edges]
    read = [recording.power_at(at) for at in edges]
    valid = [p for p in [*power, 1.0] if not math.isnan(p)]
    first = next(e for e in energy if not math.isnan(e))
    assert energy[-1] - first == pytest.approx(sum(valid) / 4)
    assert np.nanmax(read) == max(valid)
    assert sum(math.isnan(p) for p in read) == len(power) + 1 - len(valid)


def test_energies_of_steps_become_their_mean_power(tmp_path: Path) -> None:
    text = "time,load_kwh\n2025-01-06 08:00,1\n2025-01-06 08:15,2\n"
    assert load_csv(write(tmp_path, text), PARIS).power_kw.tolist() == [4.0, 8.0]


def test_the_hour_that_comes_twice_is_two_hours(tmp_path: Path) -> None:
    rows = [f"2025-10-26 {hour:02}:00,{n}" for n, hour in enumerate((0, 1, 2, 2, 3))]
    recording = load_csv(write(tmp_path, "\n".join(rows)), PARIS)
    assert recording.power_kw.tolist() == [0, 1, 2, 3, 4]


def test_the_hour_that_is_left_out_is_no_gap(tmp_path: Path) -> None:
    rows = [f"2025-03-30 {hour:02}:00,{n}" for n, hour in enumerate((0, 1, 3, 4))]
    assert load_csv(write(tmp_path, "\n".join(rows)), PARIS).power_kw.tolist() == [0, 1, 2, 3]


def test_times_with_an_offset_need_no_zone(tmp_path: Path) -> None:
    text = "2025-01-06T08:00Z,1\n2025-01-06T09:00+00:00,2\n"
    assert load_csv(write(tmp_path, text), PARIS).start_ns == round(
        datetime(2025, 1, 6, 8, tzinfo=UTC).timestamp() * 1e9
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"load\.csv:1: a load curve needs at least two rows"),
        ("time,kw\n2025-01-06 08:00,1\n", r"load\.csv:1: .* two rows"),
        ("2025-01-06 08:00,1\nyesterday,2\n", r"load\.csv:2: 'yesterday' is no time"),
        ("2025-01-06 08:00,1\n2025-01-06 08:15,1,5\n2025-01-06 08:30,x\n", r"load\.csv:3: 'x' is no number"),
        ("2025-01-06 08:00,1\n2025-01-06 08:00,2\n", r"load\.csv:2: the time is not later"),
        (
            "2025-01-06 08:00,1\n2025-01-06 08:15,1\n2025-01-06 08:40,1\n",
            r"load\.csv:3: .* off the grid of 900 s",
        ),
    ],
)
def test_what_is_no_load_curve_is_refused_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        load_csv(write(tmp_path, text), PARIS)


def test_the_replay_template_reads_the_replayed_registers() -> None:
    template = load_template(Path(__file__).parents[2] / "configs" / "templates" / "heyzack" / "replay.yaml")
    assert template.settings == {"energy_import": ENERGY, "power": POWER}


async def test_polled_over_a_socket_it_gives_the_recording_back(recording: Recording) -> None:
    now = [recording.start_ns]
    server = ModbusServer("127.0.0.1", 0, {1: recording.points()}, lambda: now[0])
    await server.start()
    driver = create(
        "replay", TcpLinkSettings(host="127.0.0.1", port=server.port, timeout=0.1), lambda: now[0]
    )
    group = PollGroup("meter", 900.0, points_of({"energy": ENERGY, "power": POWER}))
    await driver.open(discard)
    await driver.assign([Device("meter", DeviceSettings(), (group,))])
    rows = []
    for now[0] in range(recording.start_ns, recording.end_ns + 1, QUARTER):
        batch = (await driver.poll(group)).batch
        rows.append((batch.value.tolist(), batch.quality.tolist()))
    await driver.close()
    await server.stop()
    good, lost = [Quality.GOOD] * 2, [Quality.COMM_LOST] * 2
    assert [quality for _, quality in rows] == [good, good, lost, lost, good, good]
    assert [value for value, quality in rows if quality == good] == [[0, 4], [1, 8], [3, 2], [3.5, 2]]
