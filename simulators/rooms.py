"""What the sensors see: rooms, zones, air handling, heat pump. States of each quarter-hour.

Nothing here has a memory: what follows something else with a delay (CO2, warmth) is a weighted look back.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np

from simulators.loads import Conditions, Loads, conditions, plant_hours
from simulators.noise import Array, Window, smooth, uniform

MEETING_ROOMS = {"room-101": 12, "room-102": 8, "room-103": 16}
"""Seats."""
LOBBY = "lobby"
ZONES = ("zone-1", "zone-2", "zone-3")
_LOOK_BACK = (0.45, 0.27, 0.17, 0.11)
"""How much of the CO2 comes from the people of this quarter-hour and of the three before."""

Columns = dict[tuple[str, str], Array]


def room_columns(seed: int, window: Window, zone: ZoneInfo) -> Columns:
    """temperature [degC], co2 [ppm], humidity [%] and occupancy [people] of each room."""
    back = len(_LOOK_BACK) - 1
    wide = conditions(seed, window.earlier(back), zone)
    given = conditions(seed, window, zone)
    columns: Columns = {}
    for room in (*MEETING_ROOMS, LOBBY):
        people = _people(seed, room, window.earlier(back), wide)
        felt = sum(
            share * people[back - k : len(people) - k] for k, share in enumerate(_LOOK_BACK)
        ) + np.zeros(window.count)
        seats = MEETING_ROOMS.get(room, 60)
        columns[room, "occupancy"] = people[back:]
        columns[room, "co2"] = 428.0 + 620.0 * felt / seats + 9.0 * smooth(seed, f"{room}-co2", window, 1)
        columns[room, "temperature"] = _indoor(seed, room, window, given) + 1.3 * felt / seats
        columns[room, "humidity"] = _humidity(seed, room, window, given) + 5.0 * felt / seats
    return columns


def zone_columns(seed: int, window: Window, given: Conditions) -> Columns:
    """temp, setpoint [degC], valve [%] and occupied [0/1] of each controller."""
    columns: Columns = {}
    busy = (given.occupied > 0.08).astype(np.float64)
    for name in ZONES:
        setpoint = np.where(_warm_season(given), 24.5, np.where(busy > 0, 21.0, 18.0))
        temperature = _indoor(seed, name, window, given)
        asked = 22.0 * np.abs(given.lagged - 16.0) / 8.0 + 30.0 * np.abs(temperature - setpoint)
        columns[name, "temp"] = temperature
        columns[name, "setpoint"] = setpoint
        columns[name, "valve"] = np.clip(asked * np.maximum(busy, 0.15), 0.0, 100.0)
        columns[name, "occupied"] = busy
    return columns


def plant_columns(seed: int, window: Window, given: Conditions, loads: Loads) -> Columns:
    """Air handling unit and heat pump; power in kW, temperatures in degC, speed in %."""
    speed = np.clip(100.0 * (loads.fans - 5.0) / 26.0, 0.0, 100.0)
    on = (plant_hours(given.local) > 0.5).astype(np.float64)
    setpoint = np.round(2 * np.clip(21.0 - 0.15 * (given.lagged - 8.0), 16.0, 21.0)) / 2
    back = _indoor(seed, "return-air", window, given) + 0.4
    supply = np.where(on > 0, setpoint + 0.25 * smooth(seed, "supply", window, 1), back - 1.0)
    heating = loads.heating > 0.5
    water = np.where(heating, np.clip(42.0 - 0.6 * given.weather.temperature, 30.0, 48.0), 9.0)
    return {
        ("ahu-1", "supply_temp"): supply,
        ("ahu-1", "return_temp"): back,
        ("ahu-1", "supply_temp_sp"): setpoint,
        ("ahu-1", "fan_command"): on,
        ("ahu-1", "fan_speed"): speed * on,
        ("heat-pump", "power"): loads.heat_pump,
        ("heat-pump", "leaving_water_temp"): water + 0.5 * smooth(seed, "leaving-water", window, 0.75),
        ("heat-pump", "running"): (loads.heat_pump > 1.0).astype(np.float64),
    }


def _people(seed: int, room: str, window: Window, given: Conditions) -> Array:
    """Whole people: meetings last an hour and some rooms have one; the lobby follows the staff."""
    if room == LOBBY:
        bustle = 1 + 0.5 * uniform(seed, "lobby", window.index())
        return np.round(6.0 * given.occupied * bustle)
    seats = MEETING_ROOMS[room]
    hour = window.index() // 4
    booked = uniform(seed, f"{room}-booked", hour) < 0.25
    size = 0.62 + 0.35 * uniform(seed, f"{room}-size", hour)
    few = 0.12 * (1 + uniform(seed, f"{room}-few", hour))
    share = np.where(booked, size, few) * np.clip(given.occupied / 0.75, 0.0, 1.0)
    return np.round(seats * share)


def _warm_season(given: Conditions) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    month = given.local.day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    warm: np.ndarray[tuple[int], np.dtype[np.bool_]] = (month >= 5) & (month <= 9)
    return warm


def _indoor(seed: int, place: str, window: Window, given: Conditions) -> Array:
    """Air temperature: held by day, drifting towards the outdoors by night and on days off [degC]."""
    h = given.local.hour
    by_day = 1 / (1 + np.exp(-(h - 7.3) / 0.5)) - 1 / (1 + np.exp(-(h - 20.5) / 1.2))
    held = np.where(given.local.working, np.clip(by_day, 0.0, 1.0), 0.0)
    target = 21.4 + 0.16 * np.clip(given.lagged - 13.0, 0.0, 16.0)
    drift = np.clip(0.13 * (given.lagged - 17.0), -2.8, 2.2) * (1 - held)
    sun = 0.0009 * given.weather.tilted
    air: Array = target + drift + sun + 0.35 * smooth(seed, f"{place}-air", window, 5)
    return air


def _humidity(seed: int, place: str, window: Window, given: Conditions) -> Array:
    """Relative humidity: dry in frost, humid in warm spells [%]."""
    return np.clip(
        36.0 + 0.85 * given.lagged + 4.0 * smooth(seed, f"{place}-moisture", window, 18), 18.0, 75.0
    )
