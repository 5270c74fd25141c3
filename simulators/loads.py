"""What the building draws: mean powers and flows of each quarter-hour, before and after the retrofit.

The retrofit is LED lighting with daylight control, variable-speed fans, better controls and insulation, and
water-saving fittings. The PV array is older than the baseline year, so that savings are savings and not sun.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from simulators.noise import Array, Window, independent, smooth
from simulators.occupancy import LocalTime, local_time, occupied_share, running
from simulators.weather import Weather, weather

AREA_M2 = 5600.0
PV_KWP = 170.0
GAS_KWH_PER_M3 = 10.6


@dataclass(frozen=True, slots=True)
class Retrofit:
    """What the retrofit changed: factors on the loads before it (1 = as before), and two ways of control.

    daylight: how much full daylight dims the lamps. fan_floor: the least air the fans move while the plant
    runs, the rest following the people.
    """

    lighting: float = 1.0
    daylight: float = 0.22
    fans: float = 1.0
    fan_floor: float = 1.0
    heating: float = 1.0
    cooling: float = 1.0
    gas: float = 1.0
    fittings: float = 1.0
    leak: float = 1.0
    setback_k: float = 0.0


BEFORE = Retrofit()
AFTER = Retrofit(
    lighting=0.57,
    daylight=0.55,
    fans=0.87,
    fan_floor=0.10,
    heating=0.70,
    cooling=0.68,
    gas=0.82,
    fittings=0.88,
    leak=0.45,
    setback_k=2.0,
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the loads answer to; the same before and after."""

    weather: Weather
    local: LocalTime
    occupied: Array
    lagged: Array
    """Outdoor temperature as the walls feel it: half of it six hours old [degC]."""


@dataclass(frozen=True, slots=True)
class Loads:
    """Means of each quarter-hour. Electricity and gas [kW], water [m3/h].

    load: all electricity the building uses, hvac (fans, heat pump, pumps) within it. pv: generation.
    """

    load: Array
    hvac: Array
    heat_pump: Array
    heating: Array
    cooling: Array
    fans: Array
    pv: Array
    water: Array
    gas: Array

    @property
    def imported(self) -> Array:
        """What the grid gives [kW]."""
        return np.maximum(self.load - self.pv, 0.0)

    @property
    def exported(self) -> Array:
        """What the grid takes [kW]."""
        return np.maximum(self.pv - self.load, 0.0)


def conditions(seed: int, window: Window, zone: ZoneInfo) -> Conditions:
    """Weather, wall clock and people in the window."""
    lag = 24
    before = weather(seed, window.earlier(lag))
    now = Weather(before.temperature[lag:], before.cloud[lag:], before.irradiance[lag:], before.tilted[lag:])
    local = local_time(window, zone)
    lagged = 0.5 * (now.temperature + before.temperature[:-lag])
    return Conditions(now, local, occupied_share(seed, window, local), lagged)


def loads(seed: int, window: Window, given: Conditions, retrofit: Retrofit) -> Loads:
    """The building under the given conditions, as it is before or after the retrofit."""
    on = plant_hours(given.local)
    air = retrofit.fan_floor + (1 - retrofit.fan_floor) * np.minimum(1.0, 1.25 * given.occupied)
    fans = (5.0 + 26.0 * on * air) * retrofit.fans
    heat = _heat_demand(given, on, retrofit)
    heating = 0.72 * heat / np.clip(2.5 + 0.06 * given.weather.temperature, 1.7, 4.2)
    cooling = _cooling_demand(given, on, retrofit) / np.clip(4.4 - 0.05 * given.weather.temperature, 2.4, 4.4)
    pumps = 1.2 + 2.5 * np.clip((heat + cooling) / 40.0, 0.0, 1.0)
    heat_pump = (heating + cooling) * (1 + 0.04 * smooth(seed, "compressor", window, 0.75))
    hvac = fans + heat_pump + pumps
    load = hvac + _lighting(given, on, retrofit) + _plugs(seed, window, given) + _lift(given)
    load = load * (1 + 0.015 * independent(seed, "load", window))
    return Loads(
        load=np.maximum(load, hvac + 5.0),
        hvac=hvac,
        heat_pump=heat_pump,
        heating=heating,
        cooling=cooling,
        fans=fans,
        pv=_pv(given.weather),
        water=_water(seed, window, given, retrofit),
        gas=_gas(given, heat, retrofit),
    )


def plant_hours(local: LocalTime) -> Array:
    """When the plant runs, 0-1."""
    return running(local, 6.2, 19.6)


def _heat_demand(given: Conditions, on: Array, retrofit: Retrofit) -> Array:
    """Heat into the building [kW]: losses below the balance point, which night set-back lowers."""
    balance = 9.5 - retrofit.setback_k + (6.0 + retrofit.setback_k) * on
    morning = 1 + 0.30 * on * np.exp(-(((given.local.hour - 7.2) / 1.1) ** 2))
    sun = 0.012 * given.weather.irradiance * on
    return np.maximum(7.0 * (balance - given.lagged) * morning - sun, 0.0) * retrofit.heating


def _cooling_demand(given: Conditions, on: Array, retrofit: Retrofit) -> Array:
    """Heat out of the building [kW]: warm air, people and sun above the balance point."""
    warm = np.clip((given.lagged - 14.0) / 3.0, 0.0, 1.0)
    demand = 5.0 * (given.lagged - 16.5) + 20.0 * given.occupied + 0.04 * given.weather.irradiance
    server_room = 9.0 + 0.15 * np.maximum(given.weather.temperature, 0.0)
    return np.maximum(demand, 0.0) * warm * on * retrofit.cooling + server_room


def _lighting(given: Conditions, on: Array, retrofit: Retrofit) -> Array:
    daylight = np.clip(given.weather.irradiance / 400.0, 0.0, 1.0)
    lit = np.maximum(np.minimum(1.0, 1.6 * given.occupied), 0.35 * on)
    return (4.5 + 60.0 * lit * (1.0 - retrofit.daylight * daylight)) * retrofit.lighting


def _plugs(seed: int, window: Window, given: Conditions) -> Array:
    """Desks, kitchen, servers and what is never switched off."""
    lunch = 9.0 * given.occupied * np.exp(-(((given.local.hour - 12.2) / 0.7) ** 2))
    return 24.0 + 50.0 * given.occupied + lunch + 0.6 * smooth(seed, "standby", window, 20)


def _lift(given: Conditions) -> Array:
    return 0.6 + 5.0 * given.occupied


def _pv(sky: Weather) -> Array:
    """Array output [kW]: 0.86 from panel to meter, -0.4 %/K above 25 degC of the cells, inverters at 0.85."""
    cell = sky.temperature + 0.028 * sky.tilted
    output = PV_KWP * sky.tilted / 1000.0 * 0.86 * (1 - 0.004 * (cell - 25.0))
    return np.clip(output, 0.0, 0.85 * PV_KWP)


def _water(seed: int, window: Window, given: Conditions, retrofit: Retrofit) -> Array:
    """Water [m3/h]: people, and a leak that the retrofit mends in part. 280 people draw some 11 m3 a day."""
    people = 1.42 * given.occupied * (1 + 0.35 * independent(seed, "taps", window)) * retrofit.fittings
    leak = (0.055 + 0.004 * smooth(seed, "leak", window, 40)) * retrofit.leak
    return np.maximum(people + leak, 0.0)


def _gas(given: Conditions, heat: Array, retrofit: Retrofit) -> Array:
    """Gas [kW]: the share of the heat that the boiler gives, and hot water."""
    return (0.28 * heat / 0.92 + 2.5 + 7.0 * given.occupied) * retrofit.gas
