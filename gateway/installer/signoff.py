"""Who has signed off which point, and when: a file beside the configuration, one line a signature.

A signature holds for a point as it was then: when its source, unit or scaling changes, it must be signed
again. The file is only ever appended to.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from gateway.site import PointSpec

FILE: Final = "signoffs.csv"


@dataclass(frozen=True, slots=True)
class SignOff:
    """time: ISO 8601 in UTC. value: the test value with its unit. definition: of the point, then."""

    time: str
    device: str
    point: str
    by: str
    value: str
    definition: str
    note: str = ""


def definition(point: PointSpec) -> str:
    """A short fingerprint of all that decides what a point's value means."""
    source = point.source.model_dump_json(by_alias=True)
    text = f"{source}|{point.quantity}|{point.source_unit}|{point.factor!r}|{point.offset!r}|{point.kind}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def signed(folder: Path) -> Mapping[tuple[str, str], SignOff]:
    """The newest signature of each point. Raises ValueError, with file:line, for a line that is none."""
    path = folder / FILE
    if not path.exists():
        return {}
    newest: dict[tuple[str, str], SignOff] = {}
    reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), delimiter=";")
    width = len(fields(SignOff))
    for cells in reader:
        if cells and cells[0] != "time":
            if len(cells) != width:
                raise ValueError(f"{path}:{reader.line_num}: a signature has {width} cells, not {len(cells)}")
            one = SignOff(*cells)
            newest[one.device, one.point] = one
    return newest


def sign(folder: Path, signatures: Iterable[SignOff]) -> None:
    """Append signatures."""
    path = folder / FILE
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=";", lineterminator="\n")
        if is_new:
            writer.writerow([field.name for field in fields(SignOff)])
        writer.writerows(astuple(one) for one in signatures)
