"""The sections that are no devices, roles or zones: site, KPIs, store, sinks, page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gateway.config.errors import Problems, suggest
from gateway.config.parse import M, parse
from gateway.config.schema import KpisSection, SinkSection, SiteSection, StoreSection, WebSection
from gateway.config.tree import Node
from gateway.site import KpiSettings, SinkSettings, Site, StoreSettings, WebSettings

KPI_IDS: Mapping[str, str] = {
    "energy_savings": "%", "peak_load_reduction": "%", "predictive_accuracy": "%", "automation_success": "%",
    "carbon_reduction": "%", "water_conservation": "%", "waste_reduction": "%", "green_energy_usage": "%",
    "green_energy_hourly": "%", "cfe_score": "%", "data_accuracy": "%", "data_completeness": "%",
    "data_timeliness": "%", "system_uptime": "%", "mtbf": "h", "mttr": "min", "energy_use": "kWh",
    "energy_intensity": "kWh/m2", "peak_demand": "kW", "load_factor": "%", "carbon_emissions": "kgCO2e",
    "water_use": "m3", "energy_cost": "EUR", "cost_savings": "EUR", "comfort_compliance": "%",
}  # fmt: skip
"""KPI id -> unit; a published list, never renamed."""

CARRIERS = ("electricity", "gas", "heat", "cooling", "water", "waste")
"""What a factor table may be for."""

_DAY_S = 86400.0


def build_site(node: Node | None, top: Node, problems: Problems) -> Site | None:
    """The `site:` section, the only one that must be there."""
    if node is None:
        problems.add(
            top.place, "missing-key", "section 'site' is missing", "add 'site: {id: ..., timezone: ...}'"
        )
        return None
    section = parse(SiteSection, node, "site", problems)
    if section is None:
        return None
    return Site(
        id=section.id,
        name=section.name or section.id,
        timezone=ZoneInfo(section.timezone),
        area_m2=section.area_m2,
        use=section.use,
        country=section.country,
        holidays=section.holidays,
        language=section.language,
    )


def build_kpis(node: Node | None, problems: Problems) -> KpiSettings:
    """The `kpis:` section."""
    section = _section(KpisSection, node, "kpis", problems)
    if section is None or node is None:
        return KpiSettings()
    for name in section.targets:
        if name not in KPI_IDS:
            place = node.place_of(["targets", name], key=True)
            problems.add(
                place, "unknown-kpi", f"kpis: target for unknown KPI '{name}'", suggest(name, KPI_IDS)
            )
    for carrier in section.factors:
        if carrier not in CARRIERS:
            place = node.place_of(["factors", carrier], key=True)
            hint = suggest(carrier, CARRIERS, "carriers are")
            problems.add(place, "unknown-carrier", f"kpis: factor for unknown carrier '{carrier}'", hint)
    tables = factor_tables()
    for carrier, name in section.factors.items():
        if name not in tables:
            place = node.place_of(["factors", carrier])
            hint = suggest(name, tables, "tables are")
            problems.add(place, "unknown-factors", f"kpis: factor table '{name}' is unknown", hint)
    if section.tariff is not None:
        place = node.place_of(["tariff"], key=True)
        problems.warn(place, "unused", "kpis: 'tariff' is not used by this version", "nothing to do")
    baseline = section.baseline
    return KpiSettings(
        baseline_from=baseline.from_ if baseline else None,
        baseline_to=baseline.to if baseline else None,
        retrofit=section.retrofit,
        targets=section.targets,
        factors=section.factors,
        every_s=section.every,
    )


def factor_tables() -> list[str]:
    """The names of the emission factor tables that are shipped."""
    folder = files("configs") / "kpis" / "factors"
    if not folder.is_dir():
        return []
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def build_store(node: Node | None, folder: Path, problems: Problems) -> StoreSettings:
    """The `store:` section; a relative path is relative to the configuration's folder."""
    section = _section(StoreSection, node, "store", problems) or StoreSection()
    return StoreSettings(
        path=folder.absolute() / Path(section.path).expanduser(),
        max_bytes=section.max_bytes,
        min_free=section.min_free,
        raw_days=math.ceil(section.retention.raw / _DAY_S),
        interval_days=math.ceil(section.retention.intervals / _DAY_S),
    )


def build_sinks(node: Node | None, folder: Path, problems: Problems) -> dict[str, SinkSettings]:
    """The `sync:` section: a mapping of sinks."""
    sinks: dict[str, SinkSettings] = {}
    if node is None or node.value is None:
        return sinks
    if node.mapping is None:
        problems.add(
            node.place, "type", "sync: expected a mapping of sinks", "write 'name: {url: ...}' below it"
        )
        return sinks
    for name, child in node.mapping.items():
        section = parse(SinkSection, child, f"sync {name}", problems)
        if section is None:
            continue
        _warn_of_open_secrets(name, section, child, problems)
        ca = None if section.ca is None else folder.absolute() / section.ca
        if ca is not None and not ca.is_file():
            message = f"sync {name}: the CA file {ca} does not exist"
            problems.add(
                child.place_of(["ca"]), "missing-file", message, "correct the path or copy the file there"
            )
        sinks[name] = SinkSettings(
            name=name,
            url=section.url.rstrip("/"),
            api=section.api,
            org=section.org,
            bucket=section.bucket,
            database=section.database,
            username=section.username,
            token=section.token,
            password=section.password,
            verify_tls=section.verify_tls,
            ca=ca,
            gzip=section.gzip,
            settle_s=section.settle,
            timeout_s=section.timeout,
            batch_lines=section.batch_lines,
        )
    return sinks


def _warn_of_open_secrets(name: str, section: SinkSection, node: Node, problems: Problems) -> None:
    url = urlsplit(section.url)
    if (section.token or section.password) and url.scheme == "http" and not is_loopback(url.hostname or ""):
        message = f"sync {name}: the token travels unencrypted to {url.hostname}"
        problems.warn(node.place_of(["url"]), "insecure", message, "write https://")
    for key in ("token", "password"):
        child = node.child(key)
        if child is not None and child.value and not child.replaced:
            message = f"sync {name}: the {key} stands in the configuration in clear"
            problems.warn(
                child.place, "insecure", message, f'keep it in a file and write "${{secret:{name}-{key}}}"'
            )


def build_web(node: Node | None, problems: Problems) -> WebSettings:
    """The `web:` section."""
    section = _section(WebSection, node, "web", problems) or WebSection()
    host, _, port = section.listen.rpartition(":")
    host = host.strip("[]")
    if section.anonymous and node is not None and not is_loopback(host):
        message = f"web: anybody on the network may read the page at {section.listen}"
        problems.warn(node.place_of(["anonymous"]), "insecure", message, "remove 'anonymous: true'")
    return WebSettings(host=host, port=int(port), anonymous=section.anonymous)


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _section(model: type[M], node: Node | None, what: str, problems: Problems) -> M | None:
    """A section that may be left out or left empty."""
    return None if node is None or node.value is None else parse(model, node, what, problems)
