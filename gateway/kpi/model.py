"""The site, as the KPI worker needs it, from the installation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from gateway.kpi.messages import PointModel, RoleModel, SiteModel
from gateway.points import HEARTBEAT
from gateway.site import SITE_DEVICE, Installation, PointSpec

HOLD_POLLS = 3.0
"""A sample speaks for its point until three polls later, unless a heartbeat says otherwise."""

DEFAULT_FACTORS: Mapping[str, Mapping[str, str]] = {
    "FR": {"electricity": "fr-location-hourly", "gas": "fr-gas"},
}
"""Country -> carrier -> factor table, where the configuration names none."""

MINUTE_ROLES = "site.electricity."
"""Roles of this family get 1-minute intervals, and their points: rolling demand needs them."""

HEARTBEAT_HOLD_S = 130.0
"""The gateway's sign of life comes once a minute; two missed ones are a failure."""


def site_model(installation: Installation, ids: Mapping[tuple[str, str], int]) -> SiteModel:
    """The model of `installation`; ids: (device, point) -> series. What has no series is left out."""
    kpis = installation.kpis
    return SiteModel(
        site=installation.site.id,
        timezone=installation.site.timezone.key,
        store=str(installation.store.path),
        area_m2=installation.site.area_m2,
        points=tuple(
            _point(point, ids[point.key])
            for device in installation.devices.values()
            for point in device.points
            if point.key in ids
        ),
        roles=tuple(
            RoleModel(
                series=ids[SITE_DEVICE, role.name],
                name=role.name,
                expression=role.expression.text,
                kind=str(role.kind),
                unit=role.unit,
                minutes=role.name.startswith(MINUTE_ROLES),
            )
            for role in installation.roles.values()
            if (SITE_DEVICE, role.name) in ids
        ),
        heartbeat=ids.get(HEARTBEAT),
        heartbeat_hold_s=HEARTBEAT_HOLD_S,
        baseline_from=_iso(kpis.baseline_from),
        baseline_to=_iso(kpis.baseline_to),
        retrofit=_iso(kpis.retrofit),
        targets=dict(kpis.targets),
        holidays=installation.site.holidays,
        factors={**DEFAULT_FACTORS.get(installation.site.country, {}), **kpis.factors},
    )


def _point(spec: PointSpec, series: int) -> PointModel:
    hold_s = spec.heartbeat_s or HOLD_POLLS * spec.every_s
    return PointModel(series, spec.device, spec.name, str(spec.kind), hold_s, spec.modulus, spec.max_rate)


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""
