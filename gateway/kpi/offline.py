"""KPIs of any past, computed from the store by the worker's own code; no gateway need run, and nothing is
stored."""

from __future__ import annotations

import msgspec

from gateway.expressions import Expression
from gateway.kpi.messages import SiteModel
from gateway.kpi.model import site_model
from gateway.kpi.session import Session
from gateway.records import KpiResult
from gateway.site import Installation
from gateway.store.reader import Reader


def compute_between(installation: Installation, start: int, end: int, now: int) -> list[KpiResult]:
    """Every KPI of the periods that touch [start, end) [UTC ns], as known at `now`.

    Reads beside a running gateway too. It loads numba: for a process of its own.
    """
    with Reader(installation.store.path) as reader:
        ids = {(info.device, info.point): info.series for info in reader.series()}
        session = Session(_members_only(site_model(installation, ids)))
        return session.compute(reader, now, start, end)


def _members_only(model: SiteModel) -> SiteModel:
    """Without the points that no role, and so no KPI, is made from."""
    used = {name for role in model.roles for name in Expression.parse(role.expression).names}
    points = tuple(point for point in model.points if f"{point.device}/{point.point}" in used)
    return msgspec.structs.replace(model, points=points)
