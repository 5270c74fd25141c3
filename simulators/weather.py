"""The weather over Paris as a function of time: temperature, cloud, sun."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulators.noise import Array, Window, smooth

LATITUDE = 48.86
LONGITUDE = 2.35
_YEAR_DAYS = 365.2425


@dataclass(frozen=True, slots=True)
class Weather:
    """One row per quarter-hour.

    temperature: dry bulb [degC]. cloud: 0 clear to 1 overcast. irradiance: global horizontal [W/m2].
    tilted: on the PV array's plane, 15 degrees due south [W/m2].
    """

    temperature: Array
    cloud: Array
    irradiance: Array
    tilted: Array


def weather(seed: int, window: Window) -> Weather:
    """Seasons and days of Paris (mean 12.6 degC) with spells of days; sun by geometry, less cloud."""
    seconds = window.seconds()
    days = (seconds - 1_577_836_800) / 86_400.0
    cloud = _cloud(seed, window, days)
    sin_elevation, toward_array = _sun(seconds, days)
    clear = np.where(
        sin_elevation > 0.01, 1098.0 * sin_elevation * np.exp(-0.057 / np.maximum(sin_elevation, 0.01)), 0.0
    )
    irradiance = clear * (1.0 - 0.75 * cloud**3.4)
    diffuse = irradiance * np.clip(0.18 + 0.82 * cloud**1.5, 0.0, 1.0)
    beam = (irradiance - diffuse) / np.maximum(sin_elevation, 0.08)
    tilted = diffuse * 0.983 + beam * np.maximum(toward_array, 0.0)
    return Weather(_temperature(seed, window, days, cloud), cloud, irradiance, tilted)


def _cloud(seed: int, window: Window, days: Array) -> Array:
    winter = np.cos(2 * np.pi * (days - 5) / _YEAR_DAYS)
    depth = (
        0.76
        + 0.13 * winter
        + 0.24 * smooth(seed, "cloud-spell", window, 66)
        + 0.16 * smooth(seed, "cloud-half-day", window, 11)
        + 0.10 * smooth(seed, "cloud-hour", window, 1.25)
    )
    return np.clip(depth, 0.0, 1.0)


def _temperature(seed: int, window: Window, days: Array, cloud: Array) -> Array:
    season = -np.cos(2 * np.pi * (days - 20) / _YEAR_DAYS)
    swing = (3.4 + 1.6 * season) * (1.25 - 0.6 * cloud)
    solar_hour = (days % 1.0) * 24 + LONGITUDE / 15
    return (
        12.6
        + 8.1 * season
        + swing * np.cos(2 * np.pi * (solar_hour - 15.2) / 24)
        + 1.7 * smooth(seed, "air-mass", window, 330)
        + 2.2 * smooth(seed, "spell", window, 105)
        + 1.0 * smooth(seed, "front", window, 29)
        + 0.25 * smooth(seed, "gust", window, 2.5)
    )


def _sun(seconds: np.ndarray[tuple[int], np.dtype[np.int64]], days: Array) -> tuple[Array, Array]:
    """Sine of the sun's elevation, and cosine of its angle to the array's normal.

    Source: Spencer 1971 series for declination and the equation of time; clear sky after Haurwitz 1945,
    cloud after Kasten & Czeplak 1980 (used in `weather`).
    """
    g = 2 * np.pi * (days % _YEAR_DAYS) / _YEAR_DAYS
    declination = (
        0.006918
        - 0.399912 * np.cos(g)
        + 0.070257 * np.sin(g)
        - 0.006758 * np.cos(2 * g)
        + 0.000907 * np.sin(2 * g)
    )
    minutes = 229.18 * (
        0.000075
        + 0.001868 * np.cos(g)
        - 0.032077 * np.sin(g)
        - 0.014615 * np.cos(2 * g)
        - 0.040849 * np.sin(2 * g)
    )
    # The sun at the middle of the quarter-hour stands for all of it.
    solar_hours = ((seconds + 450) % 86_400) / 3600 + LONGITUDE / 15 + minutes / 60
    hour_angle = np.pi / 12 * (solar_hours - 12)

    def sine_of_elevation(latitude: float) -> Array:
        phi = np.radians(latitude)
        elevation: Array = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(
            hour_angle
        )
        return elevation

    # A plane tilted south by 15 degrees is parallel to the ground 15 degrees further south.
    return sine_of_elevation(LATITUDE), sine_of_elevation(LATITUDE - 15.0)
