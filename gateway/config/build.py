"""A configuration folder into an `Installation`, or into the list of everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.config.addresses import check_addresses
from gateway.config.busload import check_bus_load
from gateway.config.devices import Devices
from gateway.config.errors import ConfigError, Problem, Problems, UnreadableError
from gateway.config.links import Links
from gateway.config.loader import Documents, read_folder
from gateway.config.parse import note_unknown_key
from gateway.config.roles import Directory, build_roles, build_zones
from gateway.config.schema import SECTIONS
from gateway.config.sections import build_kpis, build_sinks, build_site, build_store, build_web
from gateway.config.shelf import TemplateShelf
from gateway.site import Installation


def load(folder: Path, environ: Mapping[str, str] | None = None) -> Installation:
    """The installation that `folder` describes. Raises ConfigError with every problem; warnings pass."""
    installation, problems = read(folder, environ)
    errors = problems.errors
    if errors or installation is None:
        raise ConfigError(errors)
    return installation


def check(folder: Path, environ: Mapping[str, str] | None = None) -> list[Problem]:
    """All problems of a configuration, warnings too, in reading order. Touches no network.

    Raises UnreadableError when there is nothing to check.
    """
    return read(folder, environ)[1].all()


def read(folder: Path, environ: Mapping[str, str] | None = None) -> tuple[Installation | None, Problems]:
    """The installation as far as it can be built (None without a site), and what was found on the way."""
    problems = Problems()
    documents = read_folder(folder, problems, environ)
    return build(documents, problems), problems


def build(documents: Documents, problems: Problems) -> Installation | None:
    """Build every section, noting problems; what is broken is left out."""
    top, folder = documents.site, documents.folder
    if not top.mapping and problems.errors:
        return None  # site.yaml is empty or no YAML: what else it lacks would only hide that
    for key in top.mapping or {}:
        if key not in SECTIONS:
            note_unknown_key(top.keys[key], key, frozenset(SECTIONS), "", problems)
    links = Links(folder, problems)
    links.read(top.child("links"))
    devices = Devices(links, TemplateShelf(folder), problems)
    for name, node in documents.devices.items():
        devices.add(name, node, documents.device_keys[name])
    check_addresses(devices.built.values(), links.specs, problems)
    check_bus_load(devices.built.values(), links.specs, problems)
    directory = Directory.of(devices)
    site = build_site(top.child("site"), top, problems)
    roles = build_roles(top.child("roles"), directory, problems)
    zones = build_zones(top.child("zones"), directory, problems)
    kpis = build_kpis(top.child("kpis"), problems)
    store = build_store(top.child("store"), folder, problems)
    sinks = build_sinks(top.child("sync"), folder, problems)
    web = build_web(top.child("web"), problems)
    if site is None:
        return None
    return Installation(
        folder=folder,
        site=site,
        links=links.specs,
        devices={name: device.spec for name, device in devices.built.items()},
        roles=roles,
        zones=zones,
        kpis=kpis,
        store=store,
        sinks=sinks,
        web=web,
    )


__all__ = ["ConfigError", "UnreadableError", "build", "check", "load", "read"]
