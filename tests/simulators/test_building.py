"""The simulated building: repeatable, continuous, consistent, and plausible as an office."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import units
from drivers.base import Kind
from simulators.building import BLOCK, EPOCH_NS, Building
from simulators.loads import AREA_M2
from simulators.noise import STEP_NS, Window, smooth
from simulators.occupancy import french_holidays, local_time
from simulators.past import past
from simulators.points import POINTS

PARIS = ZoneInfo("Europe/Paris")


def ns(*moment: int, zone: ZoneInfo = PARIS) -> int:
    return int(datetime(*moment, tzinfo=zone).timestamp()) * 10**9  # type: ignore[misc,arg-type]


RETROFIT = ns(2025, 10, 1)
YEAR = (RETROFIT, ns(2026, 10, 1))
BASELINE = (ns(2024, 10, 1), RETROFIT)
MOMENTS = st.integers(min_value=EPOCH_NS, max_value=ns(2031, 1, 1))


@pytest.fixture(scope="module")
def office() -> Building:
    return Building(7, RETROFIT)


@given(moment=MOMENTS, point=st.sampled_from(POINTS))
@settings(max_examples=60, deadline=None)
def test_one_value_and_many_values_are_the_same(office: Building, moment: int, point: object) -> None:
    key = point.key  # type: ignore[attr-defined]
    (many,) = office.values(*key, np.array([moment], np.int64))
    assert office.value_at(*key, moment) == pytest.approx(many, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("point", POINTS, ids=lambda p: f"{p.device}/{p.name}")
def test_what_was_asked_before_changes_nothing(office: Building, point: object) -> None:
    key = point.key  # type: ignore[attr-defined]
    moments = np.array([ns(2026, 7, 3, 14, 7), ns(2024, 1, 9, 3), ns(2026, 11, 22, 9, 1)], np.int64)
    fresh = Building(7, RETROFIT)
    backwards = fresh.values(*key, moments[::-1])[::-1]
    assert office.values(*key, moments).tolist() == backwards.tolist()


def test_other_seed_is_another_building(office: Building) -> None:
    other = Building(8, RETROFIT)
    moment = ns(2026, 3, 4, 11)
    assert office.value_at("roof", "temperature", moment) != other.value_at("roof", "temperature", moment)


@given(begin=MOMENTS, seconds=st.integers(0, 90_000))
@settings(max_examples=60, deadline=None)
def test_registers_never_go_back(office: Building, begin: int, seconds: int) -> None:
    for point in POINTS:
        if point.kind is Kind.COUNTER:
            later = office.value_at(*point.key, begin + seconds * 10**9)
            assert later >= office.value_at(*point.key, begin) - 1e-9


def test_register_is_the_integral_of_power(office: Building) -> None:
    begin = ns(2026, 2, 3, 9, 5)
    seconds = 3600
    moments = begin + np.arange(0, seconds * 4 + 1, dtype=np.int64) * 250_000_000
    power = office.values("hvac-meter", "power", moments)
    energy = office.values("hvac-meter", "energy_import", moments[[0, -1]])
    # Power steps where quarter-hours meet, which the trapezes cannot follow exactly.
    assert np.trapezoid(power, moments / 3.6e12) == pytest.approx(energy[1] - energy[0], rel=1e-4)


def test_live_register_continues_the_imported_past(office: Building) -> None:
    begin, end = ns(2025, 8, 1), ns(2025, 11, 15)
    past_deltas = {
        (device, point): columns["delta"].sum()
        for device, point, columns in past(office, begin, end)
        if "delta" in columns
    }
    assert len(past_deltas) == 6
    for (device, point), total in past_deltas.items():
        live = office.value_at(device, point, end) - office.value_at(device, point, begin)
        assert total == pytest.approx(live, rel=1e-12)


def test_blocks_meet_without_a_seam(office: Building) -> None:
    edge = EPOCH_NS + 50 * BLOCK * STEP_NS
    for point in POINTS:
        if point.motion in ("linear", "register"):
            before, after = office.value_at(*point.key, edge - 1), office.value_at(*point.key, edge)
            assert before == pytest.approx(after, rel=1e-9, abs=1e-6), point.key


def test_sub_meters_stay_within_the_main(office: Building) -> None:
    moments = ns(2026, 6, 1) + np.arange(7 * 1440, dtype=np.int64) * 60 * 10**9
    net = office.values("main-meter", "power", moments)
    load = net + office.values("pv-meter", "power", moments)
    hvac = office.values("hvac-meter", "power", moments)
    assert (hvac <= load).all()
    assert (hvac > 0).all()
    assert (net < 0).any()  # a June week exports


def test_import_and_export_never_run_together(office: Building) -> None:
    imported = office.intervals("main-meter", "energy_import", *YEAR)["delta"]
    exported = office.intervals("main-meter", "energy_export", *YEAR)["delta"]
    assert not (imported * exported).any()
    assert exported.sum() > 1000


def test_interval_mean_is_that_of_the_values(office: Building) -> None:
    begin = ns(2026, 5, 5, 10)
    columns = office.intervals("roof", "temperature", begin, begin + 4 * STEP_NS)
    values = office.values("roof", "temperature", begin + np.arange(3600, dtype=np.int64) * 10**9)
    assert columns["mean"] == pytest.approx(values.reshape(4, 900).mean(axis=1), abs=1e-3)
    assert columns["max"] == pytest.approx(values.reshape(4, 900).max(axis=1), abs=0.02)
    assert np.isnan(columns["delta"]).all()


def test_longer_intervals_sum_the_shorter(office: Building) -> None:
    begin, end = ns(2026, 3, 28), ns(2026, 3, 30)
    fine = office.intervals("gas-meter", "volume", begin, end)["delta"]
    hours = office.intervals("gas-meter", "volume", begin, end, step_s=3600)
    assert len(hours["start"]) == 47  # the day of summer time has 23
    assert hours["delta"].sum() == pytest.approx(fine.sum(), rel=1e-12)


def test_interval_off_the_grid_is_refused(office: Building) -> None:
    with pytest.raises(ValueError, match="quarter-hours"):
        office.intervals("roof", "temperature", ns(2026, 1, 1) + 1, ns(2026, 1, 2))


def test_there_is_nothing_before_2020(office: Building) -> None:
    with pytest.raises(ValueError, match="2020"):
        office.value_at("roof", "temperature", EPOCH_NS - 1)


def test_every_point_has_a_quantity_and_its_canonical_unit(office: Building) -> None:
    for device, point, quantity, unit, _ in office.points():
        assert units.CANONICAL[quantity] == unit, f"{device}/{point}"


def test_office_uses_what_offices_use(office: Building) -> None:
    before = office.true_saving(*BASELINE)
    assert before.consumption == before.consumption_without
    assert 115 < before.consumption / AREA_M2 < 145
    assert 2000 < before.water < 4000


def test_retrofit_saves_what_it_should(office: Building) -> None:
    truth = office.true_saving(*YEAR)
    assert 1 - truth.consumption / truth.consumption_without == pytest.approx(0.22, abs=0.015)
    assert 1 - truth.gas / truth.gas_without == pytest.approx(0.37, abs=0.04)
    assert 1 - truth.water / truth.water_without == pytest.approx(0.18, abs=0.02)
    assert 0.15 < 1 - truth.peak / truth.peak_without < 0.25


def test_true_saving_agrees_with_the_meters(office: Building) -> None:
    truth = office.true_saving(*YEAR)
    delta = {
        name: office.intervals(*name.split("/"), *YEAR)["delta"].sum()
        for name in ("main-meter/energy_import", "main-meter/energy_export", "pv-meter/energy_import",
                     "water-meter/volume", "gas-meter/volume")
    }  # fmt: skip
    used = (
        delta["main-meter/energy_import"]
        + delta["pv-meter/energy_import"]
        - delta["main-meter/energy_export"]
    )
    assert used == pytest.approx(truth.consumption, rel=1e-9)
    assert delta["main-meter/energy_import"] == pytest.approx(truth.imported, rel=1e-9)
    assert delta["water-meter/volume"] == pytest.approx(truth.water, rel=1e-9)
    assert delta["gas-meter/volume"] * 10.6 == pytest.approx(truth.gas, rel=1e-9)


def test_weather_is_that_of_paris(office: Building) -> None:
    year = office.intervals("roof", "temperature", *YEAR, step_s=3600)["mean"]
    assert 10.5 < year.mean() < 14.5
    assert -10 < year.min() < 3
    assert 27 < year.max() < 40
    assert office.intervals("roof", "temperature", ns(2026, 7, 1), ns(2026, 8, 1))["mean"].mean() > 17


def test_sun_gives_what_it_gives_in_paris(office: Building) -> None:
    yearly = office.intervals("pv-meter", "energy_import", *YEAR)["delta"].sum() / 170
    assert 950 < yearly < 1250  # kWh per kWp
    assert office.value_at("pv-meter", "power", ns(2026, 6, 21, 1)) == 0


def test_people_keep_local_hours_through_the_change_of_clocks(office: Building) -> None:
    for day in (ns(2026, 3, 27), ns(2026, 3, 30), ns(2026, 10, 23), ns(2026, 10, 26)):
        fans = office.intervals("ahu-1", "fan_command", day, day + 96 * STEP_NS)["mean"]
        local_start = int(np.argmax(fans > 0)) / 4
        assert 5.5 <= local_start <= 6.75


def test_nobody_works_on_holidays_and_weekends(office: Building) -> None:
    for day in (ns(2026, 7, 14), ns(2026, 5, 25), ns(2026, 11, 22)):  # national day, Whit Monday, a Sunday
        assert office.value_at("ahu-1", "fan_command", day + 11 * 3600 * 10**9) == 0
    assert office.value_at("ahu-1", "fan_command", ns(2026, 7, 15, 11)) == 1


def test_holidays_follow_easter() -> None:
    def is_free(*day: int) -> bool:
        return (date(*day) - date(1970, 1, 1)).days in french_holidays(day[0])  # type: ignore[arg-type]

    assert is_free(2026, 4, 6)
    assert is_free(2025, 5, 29)
    assert is_free(2024, 5, 20)
    assert not is_free(2026, 4, 5)
    assert len(french_holidays(2026)) == 11


def test_local_time_is_that_of_the_zone() -> None:
    first = (ns(2026, 10, 24, 12, zone=UTC) - EPOCH_NS) // STEP_NS  # type: ignore[arg-type]
    window = Window(first, 96 * 2)
    made = local_time(window, PARIS)
    for row in range(0, window.count, 7):
        moment = datetime.fromtimestamp(int(window.seconds()[row]), PARIS)
        assert made.hour[row] == moment.hour + moment.minute / 60
        assert made.weekday[row] == moment.weekday()


@given(seed=st.integers(0, 2**31), first=st.integers(0, 400_000), shift=st.integers(1, 500))
@settings(max_examples=50, deadline=None)
def test_noise_depends_on_the_place_alone(seed: int, first: int, shift: int) -> None:
    whole = smooth(seed, "spell", Window(first, shift + 40), 7.5)
    assert whole[shift:].tolist() == smooth(seed, "spell", Window(first + shift, 40), 7.5).tolist()


def test_rooms_have_what_people_bring(office: Building) -> None:
    week = (ns(2026, 3, 9), ns(2026, 3, 14))
    people = office.intervals("room-101", "occupancy", *week)["mean"]
    co2 = office.intervals("room-101", "co2", *week)["mean"]
    assert people.max() > 4
    assert (people == np.round(people)).all()
    assert 400 < co2.min() < 480
    assert 800 < co2.max() < 1600
    assert np.corrcoef(people, co2)[0, 1] > 0.7
    occupied = office.intervals("room-101", "temperature", *week)["mean"][people > 0]
    assert 19.5 < occupied.min() <= occupied.max() < 25
