"""Device templates: what a model of meter looks like on the wire, as YAML that anybody can check and add to.

A template's points take the keys of a point in `devices/*.yaml`; whoever uses it may override any of them.
It says where its registers come from (`source`), on what they were tried (`verified`), and carries a golden
frame for each point: bytes as such a device sends them, and the value they mean.

TemplateError
    the file cannot be used; the message begins with file:line
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from drivers import units
from drivers.base import Settings
from drivers.registry import KINDS

_TEXTS: Final = ("manufacturer", "model", "source")
_KEYS: Final = frozenset((*_TEXTS, "driver", "verified", "notes", "points", "golden"))
_REQUIRED: Final = (*_TEXTS, "driver", "verified", "points", "golden")


class TemplateError(Exception):
    """The template cannot be used; the message begins with file:line."""


class Verified(StrEnum):
    """The best proof there is that the registers are right."""

    NONE = "none"
    SIMULATOR = "simulator"
    HARDWARE = "hardware"


@dataclass(frozen=True, slots=True)
class Golden:
    """raw: bytes as the device sends them. value: what they mean, in the point's unit."""

    raw: bytes
    value: float


@dataclass(frozen=True, slots=True)
class Template:
    """A device model. driver: a package of `drivers` ("modbus").

    points: the keys of each, as a configuration has them. settings: the driver's part of each, checked.
    golden: a frame for each.
    """

    name: str
    path: Path
    manufacturer: str
    model: str
    driver: str
    source: str
    verified: Verified
    notes: tuple[str, ...]
    points: Mapping[str, Mapping[str, object]]
    settings: Mapping[str, Settings]
    golden: Mapping[str, Golden]


def find_templates(folder: Path) -> dict[str, Path]:
    """Templates below a folder by name: 'schneider/iem3155' is schneider/iem3155.yaml."""
    found = sorted(folder.glob("*/*.yaml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def load_template(path: Path) -> Template:
    """Read and check one template. Raises TemplateError."""
    return _Reader(path).read()


class _Reader:
    """One file on its way to a Template; knows the line of what it finds wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = self._parse()

    def read(self) -> Template:
        self._check_keys()
        driver = self._driver()
        points = self._map(self._root, "points")
        settings = {name: self._point(points, name, driver) for name in points}
        golden = self._map(self._root, "golden")
        for name in sorted(set(points) ^ set(golden)):
            where = golden if name in golden else points
            self._fail(where, name, f"'{name}' must be in both points and golden")
        return Template(
            name=f"{self._path.parent.name}/{self._path.stem}",
            path=self._path,
            manufacturer=self._text("manufacturer"),
            model=self._text("model"),
            driver=driver,
            source=self._text("source"),
            verified=self._verified(),
            notes=self._notes(),
            points={str(name): _plain(self._map(points, name)) for name in points},
            settings=settings,
            golden={str(name): self._golden(golden, name) for name in golden},
        )

    def _parse(self) -> CommentedMap:
        try:
            root = YAML(typ="rt").load(self._path.read_text(encoding="utf-8"))
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise TemplateError(f"{self._path}:{line}: {error.problem}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateError(f"{self._path}:1: {error}") from error
        if not isinstance(root, CommentedMap):
            raise TemplateError(f"{self._path}:1: a template is a mapping with {', '.join(_REQUIRED)}")
        return root

    def _check_keys(self) -> None:
        for key in self._root:
            if key not in _KEYS:
                self._fail(
                    self._root, key, f"key '{key}' is unknown; a template has {', '.join(sorted(_KEYS))}"
                )
        for key in _REQUIRED:
            if key not in self._root:
                raise TemplateError(f"{self._path}:1: '{key}' is missing")

    def _driver(self) -> str:
        packages = sorted({kind.package for kind in KINDS.values()})
        driver = self._text("driver")
        if driver not in packages:
            self._fail(self._root, "driver", f"driver '{driver}' is unknown; one of {', '.join(packages)}")
        return driver

    def _verified(self) -> Verified:
        try:
            return Verified(self._text("verified"))
        except ValueError:
            self._fail(self._root, "verified", f"verified must be one of {', '.join(Verified)}")

    def _notes(self) -> tuple[str, ...]:
        notes = self._root.get("notes") or []
        if not isinstance(notes, list):
            self._fail(self._root, "notes", "notes is a list of sentences")
        return tuple(str(note) for note in notes)

    def _point(self, points: CommentedMap, name: str, driver: str) -> Settings:
        """The driver's part of a point; its unit and quantity are checked on the way."""
        keys = self._map(points, name)
        self._check_unit(keys)
        model = next(kind.point_settings for kind in KINDS.values() if kind.package == driver)
        own = {field.alias or key for key, field in model.model_fields.items()}
        try:
            return model.model_validate({key: value for key, value in keys.items() if key in own})
        except ValidationError as error:
            first = error.errors()[0]
            where = str(first["loc"][0]) if first["loc"] else ""
            message = f"point '{name}': {first['msg'].removeprefix('Value error, ')}"
            if where in keys:
                self._fail(keys, where, message)
            self._fail(points, name, message)

    def _check_unit(self, keys: CommentedMap) -> None:
        for key in ("unit", "quantity"):
            if key not in keys:
                raise TemplateError(f"{self._path}:{keys.lc.line + 1}: a template's point states its {key}")
        try:
            units.conversion(str(keys["unit"]), units.canonical_unit(str(keys["quantity"])))
        except units.UnknownQuantity as error:
            self._fail(keys, "quantity", str(error))
        except units.UnitError as error:
            self._fail(keys, "unit", str(error))

    def _golden(self, golden: CommentedMap, name: str) -> Golden:
        frame = self._map(golden, name)
        try:
            return Golden(bytes.fromhex(str(frame["raw"])), float(frame["value"]))
        except (KeyError, ValueError, TypeError) as error:
            self._fail(golden, name, f"golden '{name}' needs raw (hex) and value (number): {error}")

    def _map(self, parent: CommentedMap, key: str) -> CommentedMap:
        child = parent[key]
        if not isinstance(child, CommentedMap):
            self._fail(parent, key, f"'{key}' must be a mapping")
        return child

    def _text(self, key: str) -> str:
        value: Any = self._root[key]
        if not isinstance(value, str) or not value.strip():
            self._fail(self._root, key, f"'{key}' must be a text")
        return value.strip()

    def _fail(self, parent: CommentedMap, key: str, message: str) -> NoReturn:
        line: int = parent.lc.key(key)[0] + 1
        raise TemplateError(f"{self._path}:{line}: {message}")


def _plain(node: Any) -> Any:
    """YAML's numbers and texts, which remember how they were written, as Python's own."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return next((kind(node) for kind in (int, float, str) if isinstance(node, kind)), node)
