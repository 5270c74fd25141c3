"""The configuration as read, for people: files merged, references replaced, secrets masked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gateway.config.errors import Problems
from gateway.config.loader import read_folder
from gateway.config.tree import Node

MASK = "********"
_SECRET_KEY = re.compile(r"token|password|secret|passphrase|private", re.IGNORECASE)


def resolved(folder: Path) -> dict[str, Any]:
    """site.yaml with the devices of all files in it. Raises UnreadableError.

    A value is masked when it came from a secret or its key says that it is one.
    """
    documents = read_folder(folder, Problems())
    shown: dict[str, Any] = _masked(documents.site, "")
    if documents.devices:
        shown["devices"] = {name: _masked(node, name) for name, node in documents.devices.items()}
    return shown


def _masked(node: Node, key: str) -> Any:
    if isinstance(node.value, dict):
        return {name: _masked(child, name) for name, child in node.value.items()}
    if isinstance(node.value, list):
        return [_masked(child, key) for child in node.value]
    if node.value is not None and (node.secret or _SECRET_KEY.search(key)):
        return MASK
    return node.value
