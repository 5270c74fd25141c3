"""Writes device files into a configuration folder: never over somebody's work unless told so."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gateway.config.errors import Problems, UnreadableError
from gateway.config.loader import read_folder
from gateway.config.tree import Node
from gateway.installer.devicemap import MapDevice, MapPoint, scalar, to_yaml
from gateway.installer.naming import distinct


class FileExists(Exception):  # noqa: N818 - reads as what it is at the raise
    """A file is there already; the message says how to replace it."""


def write_devices(
    folder: Path, file: str, devices: Iterable[MapDevice], heading: Iterable[str], *, force: bool
) -> Path:
    """Write devices/FILE.yaml. Names already taken by other files get a number. Raises FileExists."""
    path = folder / "devices" / f"{file}.yaml"
    taken = [name for name, at in device_files(folder).items() if Path(at) != path]
    wanted = list(devices)
    names = distinct([*taken, *(device.name for device in wanted)])[len(taken) :]
    renamed = [
        MapDevice(name, d.keys, d.points, d.candidates, d.comments)
        for name, d in zip(names, wanted, strict=True)
    ]
    write_text(path, to_yaml(renamed, heading), force=force)
    return path


def write_text(path: Path, text: str, *, force: bool) -> None:
    """Write a file whole or not at all. Raises FileExists, unless `force`."""
    if path.exists() and not force:
        raise FileExists(f"{path} is there already; --force replaces it")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def device_files(folder: Path) -> dict[str, str]:
    """Device name -> the file that defines it; empty for a folder that is none yet."""
    try:
        documents = read_folder(folder, Problems())
    except UnreadableError:
        return {}
    return {name: place.file for name, place in documents.device_keys.items()}


def read_map(folder: Path) -> list[MapDevice]:
    """The devices as they are written, templates not expanded. Raises UnreadableError.

    References (`${...}`) are replaced, except secrets: their keys are left out.
    """
    documents = read_folder(folder, Problems())
    return [_map_device(name, node) for name, node in documents.devices.items()]


def _map_device(name: str, node: Node) -> MapDevice:
    points = node.child("points")
    own = {key: child.plain() for key, child in (node.mapping or {}).items() if not _is_secret(child)}
    own.pop("points", None)
    made = [
        MapPoint(point, child.plain() if child.mapping else {}, dropped=child.value is False)
        for point, child in ((points.mapping if points else None) or {}).items()
    ]
    return MapDevice(name, own, tuple(made))


def _is_secret(node: Node) -> bool:
    return node.secret or any(child.secret for _, child in node.walk())


def ensure_site(folder: Path, timezone: str) -> bool:
    """Make a site.yaml with what every site needs, to be filled in; False when there is one."""
    path = folder / "site.yaml"
    if path.exists():
        return False
    write_text(path, _SITE.format(timezone=timezone), force=False)
    return True


def ensure_link(folder: Path, name: str, keys: Mapping[str, Any]) -> bool:
    """Add a link to site.yaml, below its `links:`; the rest of the file stays as it is. False when known."""
    path = folder / "site.yaml"
    known = read_folder(folder, Problems()).site.child("links")
    if known is not None and name in (known.mapping or {}):
        return False
    lines = path.read_text(encoding="utf-8").splitlines()
    entry = f"  {scalar(name)}: {scalar(dict(keys))}"
    at = next((index for index, line in enumerate(lines) if line.split("#")[0].rstrip() == "links:"), None)
    if at is None:
        lines += ["", "links:", entry]
    else:
        lines.insert(at + 1, entry)
    write_text(path, "\n".join(lines) + "\n", force=True)
    return True


_SITE = """\
# Made by a scan. Change what is marked (*), then `heyzack validate` this folder.

site:
  id: my-building                 # (*) tags every value in the cloud: choose once, keep for ever
  name: My building               # (*) what people call it
  timezone: {timezone}            # (*) days, weeks and tariffs follow its clock
  # area_m2: 5600                 # (*) heated floor area, for kWh/m2

links:
"""
