"""YAML files into trees with places; everything wrong with a file as such is found here.

The YAML is 1.2 (so `no` and `on` are texts). Duplicate keys, tabs, empty files and files that are not UTF-8
are problems with a remedy. References (`${...}`) are replaced in plain scalars before their type is
resolved, so `port: ${PORT:-502}` is a number; a quoted text stays a text.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from gateway.config.errors import Place, Problem, Problems, UnreadableError
from gateway.config.interpolation import InterpolationError, Surroundings
from gateway.config.tree import Node, empty


@dataclass(slots=True)
class Documents:
    """The files of a configuration folder. devices: those of site.yaml and of devices/*.yaml together."""

    folder: Path
    site: Node
    devices: dict[str, Node]
    device_keys: dict[str, Place]


def read_folder(folder: Path, problems: Problems, environ: Mapping[str, str] | None = None) -> Documents:
    """Read site.yaml and devices/*.yaml; raises UnreadableError when there is no site.yaml to read."""
    site_file = folder / "site.yaml"
    if not site_file.is_file():
        hint = "name a folder that has a site.yaml" if folder.is_dir() else "there is no such folder"
        raise UnreadableError(
            [Problem(str(site_file), 1, 1, "unreadable", "cannot read the configuration", hint)]
        )
    reader = FileReader(Surroundings.of(folder, os.environ if environ is None else environ), problems)
    site = reader.read(site_file)
    documents = Documents(folder, site, {}, {})
    inline = site.child("devices")
    if inline is not None:
        _take_devices(documents, inline, problems)
    for path in sorted([*folder.glob("devices/*.yaml"), *folder.glob("devices/*.yml")]):
        _take_devices(documents, reader.read(path), problems)
    return documents


def _take_devices(documents: Documents, node: Node, problems: Problems) -> None:
    if node.mapping is None:
        if node.value is not None:
            problems.add(
                node.place, "type", "devices are a mapping of names", "write 'name:' and its keys below"
            )
        return
    for name, device in node.mapping.items():
        place = node.keys[name]
        known = documents.device_keys.get(name)
        if known is not None:
            message = f"device '{name}' is already defined in {known.file}:{known.line}"
            problems.add(place, "duplicate-device", message, "rename or remove one of the two")
            continue
        documents.devices[name] = device
        documents.device_keys[name] = place


class FileReader:
    """Reads files into trees, noting problems; a file that cannot be parsed becomes an empty mapping."""

    def __init__(self, surroundings: Surroundings, problems: Problems) -> None:
        self._surroundings = surroundings
        self._problems = problems

    def read(self, path: Path) -> Node:
        """The file's top mapping. Raises UnreadableError when the file cannot be opened."""
        start = Place(str(path), 1, 1)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            problem = Problem(str(path), 1, 1, "unreadable", f"cannot read the file: {error.strerror}")
            raise UnreadableError([problem]) from error
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            place = Place(str(path), line, 1)
            self._problems.add(place, "encoding", "the file is not UTF-8 text", "save it as UTF-8")
            return empty(start)
        return self._parse(text, path, start)

    def _parse(self, text: str, path: Path, start: Place) -> Node:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                root = YAML(pure=True).compose(text)
        except MarkedYAMLError as error:
            self._problems.add(*_syntax_problem(error, text, str(path)))
            return empty(start)
        except YAMLError as error:
            first = str(error).splitlines()[0]
            self._problems.add(start, "yaml", f"the file is no YAML: {first}", "save it as plain UTF-8 text")
            return empty(start)
        if root is None or (isinstance(root, ScalarNode) and not root.value.strip()):
            self._problems.add(start, "empty-file", "the file is empty", _empty_hint(path))
            return empty(start)
        node = _Builder(str(path), self._surroundings, self._problems).build(root)
        if node.mapping is None:
            self._problems.add(
                start, "type", "the file is not a mapping", "start it with a key such as 'site:'"
            )
            return empty(start)
        return node


class _Builder:
    """Turns ruamel's nodes into ours."""

    def __init__(self, file: str, surroundings: Surroundings, problems: Problems) -> None:
        self._file = file
        self._surroundings = surroundings
        self._problems = problems
        self._yaml = YAML(typ="safe", pure=True)
        self._open: set[int] = set()

    def build(self, node: Any) -> Node:
        place = self._place(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node, place)
        if id(node) in self._open:
            self._problems.add(place, "yaml", "an anchor that contains itself", "write the value out")
            return Node(place, None)
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, place)
            return Node(place, [self.build(child) for child in node.value])
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, place: Place) -> Node:
        result = Node(place, {})
        assert result.mapping is not None  # noqa: S101 - for the type checker
        for key_node, value_node in node.value:
            key, at = str(key_node.value), self._place(key_node)
            if key in result.keys:
                first = result.keys[key]
                message = f"key '{key}' appears twice, first in line {first.line}"
                self._problems.add(at, "duplicate-key", message, "remove one of the two")
                continue
            result.keys[key] = at
            child = self.build(value_node)
            child.named = at
            result.mapping[key] = child
        return result

    def _scalar(self, node: ScalarNode, place: Place) -> Node:
        text = node.value
        if str(node.tag).startswith("!"):
            name = str(node.tag)
            hint = 'write "${secret:name}"' if "secret" in name else "remove the tag"
            self._problems.add(place, "yaml", f"the tag {name} is not understood", hint)
            return Node(place, None)
        plain = node.style not in ("'", '"', "|", ">")
        result = Node(place, text, quoted=node.style in ("'", '"'), replaced="${" in text)
        if result.replaced:
            try:
                done = self._surroundings.interpolate(text)
            except InterpolationError as error:
                at = result.inside(error.offset + 1) if "\n" not in text else place
                self._problems.add(at, error.code, error.message, error.hint)
                return Node(place, None, replaced=True, broken=True)
            result.value, result.secret = done.text, done.secret
        if plain and not result.secret:
            result.value = self._resolve(str(result.value), node)
        return result

    def _resolve(self, text: str, node: ScalarNode) -> Any:
        """The YAML 1.2 value of a plain scalar; dates stay texts for the schema to judge."""
        tag = self._yaml.resolver.resolve(ScalarNode, text, (True, False))
        kind = str(tag).rsplit(":", 1)[-1]
        if kind not in ("int", "float", "bool", "null"):
            return text
        resolved = ScalarNode(tag, text, start_mark=node.start_mark, end_mark=node.end_mark)
        return self._yaml.constructor.construct_object(resolved)

    def _place(self, node: Any) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _empty_hint(path: Path) -> str:
    if path.name == "site.yaml":
        return "write at least 'site: {id: ..., timezone: Europe/Paris}'"
    return "define a device in it, or delete the file"


def _syntax_problem(error: MarkedYAMLError, text: str, file: str) -> tuple[Place, str, str, str]:
    """Place, code, message and hint of what the YAML parser refused."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    for number, content in enumerate(text.splitlines()[:line], 1):
        indentation = content[: len(content) - len(content.lstrip())]
        if "\t" in indentation:
            place = Place(file, number, indentation.index("\t") + 1)
            return (
                place,
                "tab",
                "a tab in the indentation; YAML allows spaces only",
                "replace the tab by spaces",
            )
    message = str(error.problem or error.context or "cannot be parsed")
    hint = "check the indentation and the line before"
    if "mapping values are not allowed" in message:
        message, hint = (
            "a second ':' in a value, or wrong indentation",
            "put the value in quotes, or indent evenly",
        )
    elif "another document" in message:
        message, hint = "a second document ('---') in the file", "keep one document a file"
    elif "could not find expected ':'" in message:
        message, hint = "a key without ':'", "write 'key: value'; check the line before"
    elif "${" in (text.splitlines() or [""])[min(line, len(text.splitlines())) - 1]:
        hint = "put ${...} in quotes inside { }"
    return Place(file, line, column), "yaml", message, hint
