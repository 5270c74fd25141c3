"""Plain tables for a terminal: aligned, no frames, so that grep and awk can read them too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Rows under their headers; the columns named in `right` are set to the right, as numbers are."""
    lines = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if header in right else cell.ljust(width)
            for cell, width, header in zip(line, widths, headers, strict=True)
        ).rstrip()
        for line in lines
    )


def number(value: float | None, digits: int = 6) -> str:
    """A value as people read it; '-' where there is none. Counters keep their decimals, not powers of ten."""
    if value is None or value != value:
        return "-"
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-4:
        return f"{value:.{digits}g}"
    text = f"{value:.3f}" if abs(value) < 1e6 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(ns: int, zone: tzinfo = UTC) -> str:
    """A UTC time [ns] in a zone, to the second; 'never' for 0."""
    return datetime.fromtimestamp(ns / 1e9, zone).strftime("%Y-%m-%d %H:%M:%S") if ns else "never"


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
