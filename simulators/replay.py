"""A recorded load served as a meter, so that what the gateway makes of it can be checked against the record.

Row i of the recording, at its time t(i), is the mean power P(i) over the step [t(i), t(i) + step). Rows that
are missing or not a number are gaps. With n rows on the regular grid, the registers at an instant t are

    power(t)          = P(i)                                        for t(i) <= t < t(i+1)
    energy_import(t)  = sum of P(j) * step, valid j < i, + P(i) * (t - t(i))
    off the wire      in gaps, before t(0) and after t(n)
    at t(n) itself    energy_import = the whole energy, power = P(n-1)

So one poll at each edge t(0) ... t(n) reads power = P(i) exactly and energy = the sum of all steps before:
the last poll minus the first is the energy of all valid steps, and the highest power read is the peak. A gap
adds no energy: the register stands at its end where it stood at its beginning. The step before a gap is
complete in the energy register, which is read when the meter is back.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from math import isfinite
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.modbus.settings import PointSettings
from simulators.base import ServedPoint

ENERGY: Final = PointSettings.model_validate({"register": 0, "type": "f64"})
POWER: Final = PointSettings.model_validate({"register": 4, "type": "f64"})
"""The registers of template heyzack/replay."""

_SECOND_NS: Final = 1_000_000_000
_HOUR_NS: Final = 3600 * _SECOND_NS
_MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})

Unit = Literal["kW", "kWh"]


class RecordingError(ValueError):
    """The file is no load curve; the message begins with file:line."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A load curve on a regular grid.

    start_ns: UTC time of the first step [ns]. step_ns: its length [ns]. power_kw: shape (n,), mean power of
    each step [kW], NaN in gaps. energy_kwh: shape (n + 1,), energy before each edge [kWh].
    """

    start_ns: int
    step_ns: int
    power_kw: NDArray[np.float64]
    energy_kwh: NDArray[np.float64]

    @classmethod
    def of(cls, start_ns: int, step_ns: int, power_kw: NDArray[np.float64]) -> Recording:
        """A recording of the mean power of each step, NaN where it is missing."""
        energy = np.concatenate(([0.0], np.cumsum(np.nan_to_num(power_kw) * (step_ns / _HOUR_NS))))
        return cls(start_ns, step_ns, power_kw, energy)

    @property
    def end_ns(self) -> int:
        return self.start_ns + len(self.power_kw) * self.step_ns

    def power_at(self, at_ns: int) -> float:
        """Mean power of the current step [kW]; NaN in gaps and outside the recording."""
        index = self._step(at_ns)
        return float("nan") if index is None else float(self.power_kw[index])

    def energy_at(self, at_ns: int) -> float:
        """Energy since the start [kWh]; NaN in gaps and outside the recording."""
        index = self._step(at_ns)
        if index is None:
            return float("nan")
        into_step = (at_ns - self.start_ns - index * self.step_ns) / self.step_ns
        if into_step in (0.0, 1.0):  # at an edge, exactly the sum
            edge = self.energy_kwh[index + int(into_step)]
            return float(edge) if isfinite(self.power_kw[index]) else float("nan")
        return float(self.energy_kwh[index] + self.power_kw[index] * into_step * self.step_ns / _HOUR_NS)

    def points(self) -> list[ServedPoint]:
        """The meter's registers: energy_import [kWh] and power [kW]."""
        return [
            ServedPoint("energy_import", ENERGY, self.energy_at, "kWh"),
            ServedPoint("power", POWER, self.power_at, "kW"),
        ]

    def _step(self, at_ns: int) -> int | None:
        if not self.start_ns <= at_ns <= self.end_ns:
            return None
        return min((at_ns - self.start_ns) // self.step_ns, len(self.power_kw) - 1)


def load_csv(path: Path, timezone: tzinfo, unit: Unit | None = None) -> Recording:
    """Read a load curve: rows of time and value, with or without a header.

    timezone: of times without an offset; where clocks go back, the first of two equal times is the earlier.
    unit: kW (mean power) or kWh (energy of the step); by default what the header says ("load_kwh"), else kW.
    The step is the shortest distance between two rows. Raises RecordingError, OSError.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(row)]
    if rows and not _is_data(rows[0][1]):
        unit = unit or ("kWh" if re.search(r"kwh", ",".join(rows[0][1]), re.IGNORECASE) else "kW")
        rows = rows[1:]
    if len(rows) < 2:
        raise RecordingError(f"{path}:1: a load curve needs at least two rows of time and value")
    times = np.array(list(_times(path, rows, timezone)), np.int64)
    values = np.array([_value(path, number, row) for number, row in rows])
    return _on_grid(path, rows, times, values, unit or "kW")


def _on_grid(
    path: Path,
    rows: list[tuple[int, list[str]]],
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    unit: Unit,
) -> Recording:
    gaps = np.diff(times)
    if (wrong := np.flatnonzero(gaps <= 0)).size:
        raise RecordingError(f"{path}:{rows[wrong[0] + 1][0]}: the time is not later than the row before")
    step = int(gaps.min())
    offset = times - times[0]
    if (wrong := np.flatnonzero(offset % step)).size:
        line, seconds = rows[wrong[0]][0], step // _SECOND_NS
        raise RecordingError(f"{path}:{line}: the time is off the grid of {seconds} s steps")
    power = np.full(int(offset[-1]) // step + 1, np.nan)
    power[offset // step] = values if unit == "kW" else values * (_HOUR_NS / step)
    return Recording.of(int(times[0]), step, power)


def _is_data(row: list[str]) -> bool:
    try:
        datetime.fromisoformat(row[0].strip())
    except ValueError:
        return False
    return True


def _times(path: Path, rows: list[tuple[int, list[str]]], timezone: tzinfo) -> Iterator[int]:
    """UTC nanoseconds of each row; a local time that comes twice is taken in order."""
    last = None
    for number, row in rows:
        try:
            moment = datetime.fromisoformat(row[0].strip())
        except ValueError:
            raise RecordingError(f"{path}:{number}: '{row[0]}' is no time; write 2025-01-31 13:45") from None
        at = moment if moment.tzinfo else moment.replace(tzinfo=timezone)
        if last is not None and at.timestamp() <= last:
            at = at.replace(fold=1)
        last = at.timestamp()
        yield round(last) * _SECOND_NS


def _value(path: Path, number: int, row: list[str]) -> float:
    text = row[1].strip() if len(row) > 1 else ""
    if text.lower() in _MISSING:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise RecordingError(
            f"{path}:{number}: '{text}' is no number; leave it empty where it is missing"
        ) from None
