"""Topic templates and JSON paths, as configurations write them. Pure.

Parts of a template in braces: {device} is the device's name in this configuration and {point} the point's;
{id} is the name the device has with its sender (the device's name unless `id` says otherwise), {base} what
stands before all of it, {channel} the number of its channel (0 unless given).
"""

from __future__ import annotations

import re
from typing import Final

TEMPLATE_PARTS: Final = ("device", "point", "id", "base", "channel")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def check_template(text: str) -> str:
    """A topic filter with named parts, as it was; raises ValueError when it can match nothing."""
    plain = text
    for part in re.findall(r"\{([^}]*)\}", text):
        if part not in TEMPLATE_PARTS:
            known = ", ".join(f"{{{name}}}" for name in TEMPLATE_PARTS)
            raise ValueError(f"topic {text!r}: {{{part}}} is unknown; use {known} or the wildcard +")
        plain = plain.replace(f"{{{part}}}", "x")
    if not plain or "{" in plain or "}" in plain or "\0" in plain:
        raise ValueError(f"topic {text!r} is empty or has an unpaired brace")
    levels = plain.split("/")
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            raise ValueError(f"topic {text!r}: # stands alone as the last level")
        if "+" in level and level != "+":
            raise ValueError(f"topic {text!r}: + stands alone in its level")
    return text


def check_topic(text: str) -> str:
    """A topic for one kind of message: a template without wildcards."""
    if "+" in text or "#" in text:
        raise ValueError(f"topic {text!r}: + and # cannot be used here; write the whole topic")
    return check_template(text)


def parse_path(text: str) -> tuple[str | int, ...]:
    """Keys and indices of a JSON path: 'probes[1].t' is ('probes', 1, 't')."""
    steps: list[str | int] = []
    place = 0
    while place < len(text):
        if text[place] == "." and steps and place + 1 < len(text) and text[place + 1] not in ".[":
            place += 1
        found = _STEP.match(text, place)
        if not found:
            raise ValueError(f"{text!r} is no JSON path: write keys and indices, for example probes[1].t")
        steps.append(int(found[1]) if found[1] is not None else found[2])
        place = found.end()
    if not steps:
        raise ValueError("a JSON path is empty: write for example temperature")
    return tuple(steps)
