"""A YAML document as a tree in which every key and value knows where it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.config.errors import Place

Scalar = str | int | float | bool | None


@dataclass(slots=True)
class Node:
    """A value and its place. value: a scalar, a mapping of nodes or a list of nodes.

    keys: for a mapping, where each key stands. secret: the text came from `${secret:...}`. named: where the
    key stands whose value this is. quoted: the text starts one column after its place.
    replaced: a reference (`${...}`) was replaced in it. broken: it could not be; that is reported already.
    """

    place: Place
    value: Scalar | dict[str, Node] | list[Node]
    keys: dict[str, Place] = field(default_factory=dict)
    secret: bool = False
    named: Place | None = None
    quoted: bool = False
    replaced: bool = False
    broken: bool = False

    @property
    def mapping(self) -> dict[str, Node] | None:
        return self.value if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """The value as plain Python, places forgotten."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def child(self, key: str | int) -> Node | None:
        if isinstance(self.value, dict):
            return self.value.get(str(key))
        if isinstance(self.value, list) and isinstance(key, int) and key < len(self.value):
            return self.value[key]
        return None

    def text(self, key: str) -> str:
        """The child's scalar as text; '' where there is none."""
        node = self.child(key)
        return str(node.value) if node and node.value is not None and not node.mapping else ""

    def place_of(self, path: Sequence[str | int], *, key: bool = False) -> Place:
        """The place of the value at `path` (of its key, with `key`), or of the nearest that exists.

        Steps that the document does not have are passed over: pydantic names union members in its paths.
        """
        node, place = self, self.place
        for step in path:
            child = node.child(step)
            if child is None:
                continue
            place = node.keys.get(str(step), child.place) if key else child.place
            node = child
        return place

    def inside(self, column: int) -> Place:
        """The place of a 1-based column of this node's text."""
        return Place(self.place.file, self.place.line, self.place.column + column - 1 + self.quoted)

    def at(self, path: Sequence[str | int]) -> Node:
        """The node at `path`, or the nearest above it that exists."""
        node = self
        for step in path:
            node = node.child(step) or node
        return node

    def only(self, names: Collection[str]) -> Node:
        """This mapping with the keys of `names` alone."""
        value = {key: node for key, node in (self.mapping or {}).items() if key in names}
        return Node(self.place, value, self.keys, named=self.named)

    def without(self, names: Collection[str]) -> Node:
        """This mapping without the keys of `names`."""
        return self.only([key for key in (self.mapping or {}) if key not in names])

    def walk(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """Every scalar below, with its path."""
        if isinstance(self.value, dict):
            for key, node in self.value.items():
                yield from node.walk((*path, key))
        elif isinstance(self.value, list):
            for index, node in enumerate(self.value):
                yield from node.walk((*path, str(index)))
        else:
            yield path, self


def empty(place: Place) -> Node:
    """A mapping without keys."""
    return Node(place, {})


def grafted(value: Any, place: Place) -> Node:
    """Plain data as a tree that stands wholly at one place: a template seen from the device that uses it."""
    if isinstance(value, dict):
        children = {str(key): grafted(child, place) for key, child in value.items()}
        return Node(place, children, dict.fromkeys(children, place))
    if isinstance(value, list | tuple):
        return Node(place, [grafted(child, place) for child in value])
    return Node(place, value)
