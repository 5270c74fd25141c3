"""The demo building as data: its devices, points, KPIs in several states, store and one alarm."""

from __future__ import annotations

from typing import Any

from gateway.records import Alarm, KpiResult, Severity, Status
from gateway.status import DeviceStatus, PointStatus, StoreStatus

S = 1_000_000_000
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86400 * S
NOW = 1_795_340_523 * S
"""2026-11-22 09:42:03 UTC, 10:42:03 in Paris."""
NOVEMBER, DECEMBER = 1_793_487_600 * S, 1_796_079_600 * S
"""The local month, Europe/Paris."""

METER = ("energy_import", "energy_export", "power", "voltage_l1", "current_l1", "frequency")
UNITS = {
    "energy_import": ("electric_energy", "kWh", "counter", 1_234_567.8),
    "energy_export": ("electric_energy", "kWh", "counter", 1203.4),
    "power": ("electric_power", "kW", "gauge", 84.2),
    "voltage_l1": ("voltage", "V", "gauge", 231.4),
    "current_l1": ("current", "A", "gauge", 121.7),
    "frequency": ("frequency", "Hz", "gauge", 50.01),
    "volume": ("water_volume", "m3", "counter", 48213.456),
    "flow": ("water_flow", "m3/h", "gauge", 0.82),
    "supply_temp": ("temperature", "degC", "gauge", 18.4),
    "return_temp": ("temperature", "degC", "gauge", 21.9),
    "supply_temp_sp": ("temperature", "degC", "setpoint", 18.0),
    "fan_command": ("state", "1", "command", 1.0),
    "fan_speed": ("ratio", "%", "gauge", 64.0),
    "temp": ("temperature", "degC", "gauge", 21.3),
    "setpoint": ("temperature", "degC", "setpoint", 21.0),
    "valve": ("ratio", "%", "gauge", 12.5),
    "occupied": ("state", "1", "state", 1.0),
    "leaving_water_temp": ("temperature", "degC", "gauge", 41.6),
    "running": ("state", "1", "state", 0.0),
    "temperature": ("temperature", "degC", "gauge", 21.3),
    "co2": ("co2", "ppm", "gauge", 640.0),
    "humidity": ("humidity", "%", "gauge", 41.5),
    "occupancy": ("count", "1", "gauge", 7.0),
    "site.electricity.import": ("electric_energy", "kWh", "counter", 1_234_567.8),
    "site.water": ("water_volume", "m3", "counter", 48213.456),
    "outdoor.temperature": ("temperature", "degC", "gauge", 8.6),
}
ROOM = ("temperature", "co2", "humidity", "occupancy")
ZONE = ("temp", "setpoint", "valve", "occupied")
DEVICES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "main-meter": ("plant", "modbus-tcp", METER),
    "hvac-meter": ("plant", "modbus-tcp", METER),
    "pv-meter": ("plant", "modbus-tcp", METER),
    "water-meter": ("plant", "modbus-tcp", ("volume", "flow")),
    "gas-meter": ("plant", "modbus-tcp", ("volume",)),
    "ahu-1": ("bms", "bacnet", ("supply_temp", "return_temp", "supply_temp_sp", "fan_command", "fan_speed")),
    "zone-1": ("bms", "bacnet", ZONE),
    "zone-2": ("bms", "bacnet", ZONE),
    "zone-3": ("bms", "bacnet", ZONE),
    "heat-pump": ("bms", "bacnet", ("power", "leaving_water_temp", "running")),
    "room-101": ("broker", "mqtt", ROOM),
    "room-102": ("broker", "mqtt", ROOM),
    "room-103": ("broker", "mqtt", ROOM),
    "lobby": ("broker", "mqtt", ROOM),
    "roof": ("broker", "mqtt", ("temperature",)),
}
ROLES = ("site.electricity.import", "site.water", "outdoor.temperature")


def make_points() -> list[PointStatus]:
    """Every point good, measured some seconds ago."""
    names = [(device, point) for device, (_, _, points) in DEVICES.items() for point in points]
    names += [("_site", role) for role in ROLES]
    found = []
    for series, (device, point) in enumerate(names, 1):
        quantity, unit, kind, value = UNITS[point]
        found.append(
            PointStatus(
                series=series,
                device=device,
                point=point,
                quantity=quantity,
                unit=unit,
                kind=kind,
                value=value,
                quality=0,
                time=NOW - (series % 9) * S,
                every_s=10.0,
            )
        )
    return found


def make_devices() -> list[DeviceStatus]:
    """All fifteen, online."""
    return [
        DeviceStatus(
            device=name,
            link=link,
            driver=driver,
            online=True,
            last_answer=NOW - 3 * S,
            since=NOW - 5 * HOUR,
            latency_ms=None if driver == "mqtt" else 2.4 + index,
            points=len(points),
            points_good=len(points),
            address=f"127.0.0.1:{15020 + index}",
            every_s=10.0,
        )
        for index, (name, (link, driver, points)) in enumerate(DEVICES.items())
    ]


def make_kpis() -> list[KpiResult]:
    """One in each state: met, proven, near, below, not proven, exceeding, undefined, not entered."""

    def kpi(name: str, value: float | None, unit: str = "%", **more: Any) -> KpiResult:
        month = {"cadence": "monthly", "start": NOVEMBER, "end": DECEMBER, "partial": True}
        defaults = {"scope": "site", "n_valid": 2063, "n_expected": 2064, "completeness": 99.95}
        return KpiResult(
            kpi=name, value=value, unit=unit, **(month | defaults | {"computed": NOW - 61 * S} | more)
        )

    return [
        kpi(
            "energy_savings",
            21.3,
            lower=17.2,
            upper=25.4,
            target=20.0,
            baseline=41_230.0,
            attainment=1.06,
            status=Status.ON_TRACK,
            evidence="verified",
            claim="likely",
            model_id="daily-5p/9f31c2",
            inputs=("site.electricity.import", "outdoor.temperature", "baseline 2024-01-01..2024-12-31"),
            details={"cv_rmse": 0.112, "nmbe": 0.0004, "avoided_kwh": 8782.0,
                "r2_adjusted": 0.931, "balance_h": 15.2},
        ),
        kpi("carbon_reduction", 26.1, lower=21.0, upper=31.0, target=25.0, status=Status.ON_TRACK),
        kpi(
            "peak_load_reduction",
            13.9,
            lower=9.8,
            upper=18.0,
            target=15.0,
            status=Status.NEAR,
            cadence="weekly",
            start=NOW - 6 * DAY,
            end=NOW + DAY,
        ),
        kpi("green_energy_usage", 18.2, target=30.0, status=Status.BELOW, completeness=96.4),
        kpi(
            "water_conservation", 16.0, lower=-3.0, upper=35.0, target=15.0, status=Status.ON_TRACK,
            evidence="indicative",
        ),
        kpi("waste_reduction", None, target=20.0, status=Status.NOT_ENTERED),
        kpi(
            "automation_success", None, target=95.0, cadence="daily", reason="no commands",
            start=NOW - 10 * HOUR, end=NOW + 14 * HOUR,
        ),
        kpi(
            "system_uptime", 100.0, target=99.9, status=Status.EXCEEDING, cadence="daily",
            start=NOW - 10 * HOUR, end=NOW + 14 * HOUR, partial=False,
        ),
        kpi("energy_use", 32_448.0, "kWh"),
        kpi("energy_intensity", 5.79, "kWh/m2"),
        kpi("peak_demand", 142.6, "kW"),
        kpi("load_factor", 43.1),
        kpi("carbon_emissions", 1412.0, "kgCO2e"),
        kpi("water_use", 211.4, "m3"),
        kpi("data_completeness", 98.7),
    ]  # fmt: skip


def make_store() -> StoreStatus:
    """A disk with a month of room."""
    return StoreStatus(
        path="state",
        bytes_used=412_000_000,
        bytes_cap=4_294_967_296,
        bytes_free_on_disk=28_400_000_000,
        samples_committed=18_402_113,
        newest_seq=90_211,
        oldest_seq=1,
        dropped=0,
        quarantined=0,
        mode="disk",
        room_s=31 * 86400.0,
    )


def device_lost() -> Alarm:
    return Alarm(
        source="room-102",
        kind="device_lost",
        severity=Severity.CRITICAL,
        message="room-102: silent nothing heard",
        raised=NOW - 25 * MINUTE,
    )
