"""A simulated office whose every reading is a pure function of (seed, retrofit date, UTC time).

Time is cut into quarter-hours from 2020-01-01T00:00Z. Powers and flows have a mean for each of them, with a
ripple around it whose integral over the quarter-hour is nought; a register is the exact integral of its rate
since the epoch. So a live meter continues the imported past to the last digit, a restarted process finds the
same building, sub-meters stay within the main at every moment, and no state is kept but caches.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from drivers.base import Kind
from simulators.loads import AFTER, BEFORE, GAS_KWH_PER_M3, Conditions, Loads, conditions, loads
from simulators.noise import EPOCH_S, STEP_NS, STEP_S, Array, Window, independent
from simulators.points import POINTS, RATES, BuildingPoint, Motion
from simulators.rooms import Columns, plant_columns, room_columns, zone_columns

EPOCH_NS = EPOCH_S * 1_000_000_000
HOURS = STEP_S / 3600.0
BLOCK = 4096
"""Quarter-hours computed at a time: about six weeks."""
_BLOCKS_KEPT = 3

_CYCLES = (2, 7, 19)
"""Ripples in a quarter-hour; whole numbers, so that each integrates to nought."""
_AMPLITUDE = (0.030, 0.022, 0.012)
_PROBES = np.linspace(0.0, 1.0, 61)


@dataclass(frozen=True, slots=True)
class Saving:
    """What the retrofit truly saved in a period: the loads without it and with it, same weather and people.

    [kWh], water [m3]. consumption: all electricity used in the building. imported: from the grid.
    """

    consumption_without: float
    consumption: float
    imported_without: float
    imported: float
    gas_without: float
    gas: float
    water_without: float
    water: float
    peak_without: float
    """Highest mean power of a quarter-hour taken from the grid [kW]."""
    peak: float


class _Block:
    """The building over one run of quarter-hours; `BLOCK` + 1 rows, the last being the next block's first."""

    def __init__(self, seed: int, first: int, retrofit: int, zone: ZoneInfo) -> None:
        self.first = first
        self._seed = seed
        self._window = Window(first, BLOCK + 1)
        self._zone = zone
        self._given = conditions(seed, self._window, zone)
        self._loads = _with_retrofit(seed, self._window, self._given, retrofit)
        self.ripple = np.stack(
            [
                a * independent(seed, f"ripple-{c}", self._window)
                for a, c in zip(_AMPLITUDE, _CYCLES, strict=True)
            ]
        )
        self.rates = _rates(self._loads)
        self.advance = {
            rate: np.concatenate([[0.0], np.cumsum(self.rates[rate][:BLOCK] * HOURS)]) for rate in RATES
        }

    def column(self, key: tuple[str, str]) -> Array:
        return self.rates[key[1]] if key[0] == "rate" else self._states[key]

    @cached_property
    def _states(self) -> Columns:
        seed, window, given = self._seed, self._window, self._given
        return {
            **room_columns(seed, window, self._zone),
            **zone_columns(seed, window, given),
            **plant_columns(seed, window, given, self._loads),
            ("roof", "temperature"): given.weather.temperature,
        }


class Building:
    """The demo's building.

    seed: another seed is another building. retrofit_ns: UTC ns from which the retrofit acts, cut to a
    quarter-hour. timezone: the wall clock its people live by.
    """

    def __init__(self, seed: int, retrofit_ns: int, timezone: str = "Europe/Paris") -> None:
        self.seed = seed
        self.retrofit_ns = retrofit_ns
        self.timezone = ZoneInfo(timezone)
        self._retrofit = (retrofit_ns - EPOCH_NS) // STEP_NS
        self._points = {point.key: point for point in POINTS}
        self._blocks: OrderedDict[int, _Block] = OrderedDict()
        self._totals: dict[str, list[float]] = {rate: [0.0] for rate in RATES}

    def points(self) -> Sequence[tuple[str, str, str, str, Kind]]:
        """(device, point, quantity, unit, kind) of every point."""
        return [(p.device, p.name, p.quantity, p.unit, p.kind) for p in POINTS]

    def value_at(self, device: str, point: str, t_ns: int) -> float:
        """The reading at one time, in the canonical unit.

        Raises KeyError for an unknown point and ValueError before 2020.
        """
        at = self._point(device, point)
        row, rest = divmod(t_ns - EPOCH_NS, STEP_NS)
        block = self._block(row)
        i, part = row - block.first, rest / STEP_NS
        if at.motion is Motion.STEADY:
            return float(block.column(at.column)[i])
        waves = block.ripple[:, i].tolist()
        if at.motion is Motion.RIPPLE:
            return float(block.column(at.column)[i]) * (1.0 + _wave(waves, part))
        if at.motion is Motion.REGISTER:
            rate = at.column[1]
            within = float(block.rates[rate][i]) * HOURS * (part + _wave_integral(waves, part))
            return self._total(rate, row // BLOCK) + float(block.advance[rate][i]) + within
        here, after = block.column(at.column)[i : i + 2].tolist()
        return float(here + part * (after - here) + at.wobble * _wave(waves, part))

    def values(self, device: str, point: str, t_ns: NDArray[np.int64]) -> Array:
        """The readings at many times, in the canonical unit; the same numbers as `value_at`."""
        at = self._point(device, point)
        times = np.asarray(t_ns, np.int64) - EPOCH_NS
        rows = times // STEP_NS
        parts = (times - rows * STEP_NS) / STEP_NS
        out = np.empty(len(rows), np.float64)
        for number in np.unique(rows // BLOCK):
            mine = rows // BLOCK == number
            out[mine] = self._in_block(at, int(number), rows[mine] - number * BLOCK, parts[mine])
        return out

    def intervals(
        self, device: str, point: str, start_ns: int, end_ns: int, step_s: int = STEP_S
    ) -> dict[str, NDArray[np.int64] | Array]:
        """Columns `start` (UTC ns), `mean`, `min`, `max`, `delta` of [start_ns, end_ns).

        step_s: a multiple of 900. Counters have a delta only, everything else no delta; the rest is NaN.
        Raises ValueError unless start_ns and end_ns are whole steps apart and lie on a quarter-hour.
        """
        at = self._point(device, point)
        per_step, odd = divmod(step_s, STEP_S)
        first, off = divmod(start_ns - EPOCH_NS, STEP_NS)
        count, rest = divmod(end_ns - start_ns, step_s * 1_000_000_000)
        if odd or off or rest or count < 0 or per_step < 1:
            raise ValueError("start and end must lie on quarter-hours, whole steps apart")
        fine = self._quarter_hours(at, first, count * per_step)
        shaped = {name: column.reshape(count, per_step) for name, column in fine.items()}
        return {
            "start": start_ns + np.arange(count, dtype=np.int64) * (step_s * 1_000_000_000),
            "mean": shaped["mean"].mean(axis=1),
            "min": shaped["min"].min(axis=1),
            "max": shaped["max"].max(axis=1),
            "delta": shaped["delta"].sum(axis=1),
        }

    def true_saving(self, start_ns: int, end_ns: int) -> Saving:
        """The retrofit's effect from start to end, known exactly because both buildings are computed."""
        first, count = (start_ns - EPOCH_NS) // STEP_NS, (end_ns - start_ns) // STEP_NS
        window = Window(first, count)
        given = conditions(self.seed, window, self.timezone)
        without = loads(self.seed, window, given, BEFORE)
        actual = _with_retrofit(self.seed, window, given, self._retrofit)
        return Saving(
            consumption_without=float(without.load.sum() * HOURS),
            consumption=float(actual.load.sum() * HOURS),
            imported_without=float(without.imported.sum() * HOURS),
            imported=float(actual.imported.sum() * HOURS),
            gas_without=float(without.gas.sum() * HOURS),
            gas=float(actual.gas.sum() * HOURS),
            water_without=float(without.water.sum() * HOURS),
            water=float(actual.water.sum() * HOURS),
            peak_without=float(without.imported.max(initial=0.0)),
            peak=float(actual.imported.max(initial=0.0)),
        )

    def _point(self, device: str, point: str) -> BuildingPoint:
        return self._points[device, point]

    def _in_block(self, at: BuildingPoint, number: int, i: NDArray[np.int64], part: Array) -> Array:
        block = self._block(number * BLOCK)
        waves = block.ripple[:, i]
        if at.motion is Motion.REGISTER:
            rate = at.column[1]
            within = block.rates[rate][i] * HOURS * (part + _waves_integral(waves, part))
            return self._total(rate, number) + block.advance[rate][i] + within
        column = block.column(at.column)
        if at.motion is Motion.STEADY:
            return column[i]
        if at.motion is Motion.RIPPLE:
            return column[i] * (1.0 + _waves(waves, part))
        return column[i] + part * (column[i + 1] - column[i]) + at.wobble * _waves(waves, part)

    def _quarter_hours(self, at: BuildingPoint, first: int, count: int) -> dict[str, Array]:
        """mean, min, max and delta of each quarter-hour."""
        names = ("mean", "min", "max", "delta")
        out = {name: _nan(count) for name in names}
        done = 0
        while done < count:
            block = self._block(first + done)
            i = first + done - block.first
            take = min(count - done, BLOCK - i)
            rows = slice(done, done + take)
            if at.motion is Motion.REGISTER:
                out["delta"][rows] = block.column(at.column)[i : i + take] * HOURS
            else:
                for name, column in zip(names, _extent(at, block, i, take), strict=False):
                    out[name][rows] = column
            done += take
        return out

    def _block(self, row: int) -> _Block:
        if row < 0:
            raise ValueError("the building's registers begin on 2020-01-01T00:00Z")
        number = row // BLOCK
        block = self._blocks.get(number)
        if block is None:
            block = _Block(self.seed, number * BLOCK, self._retrofit, self.timezone)
            self._blocks[number] = block
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block

    def _total(self, rate: str, number: int) -> float:
        """What the register showed when block `number` began."""
        while len(self._totals[rate]) <= number:
            block = self._block((len(self._totals[rate]) - 1) * BLOCK)
            for name, totals in self._totals.items():
                totals.append(totals[-1] + float(block.advance[name][BLOCK]))
        return self._totals[rate][number]


def _with_retrofit(seed: int, window: Window, given: Conditions, retrofit: int) -> Loads:
    """Loads of the window: as before up to quarter-hour `retrofit`, as after from it on."""
    if window.first >= retrofit:
        return loads(seed, window, given, AFTER)
    before = loads(seed, window, given, BEFORE)
    if window.first + window.count <= retrofit:
        return before
    after = loads(seed, window, given, AFTER)
    done = window.index() >= retrofit
    names = Loads.__slots__
    return Loads(**{name: np.where(done, getattr(after, name), getattr(before, name)) for name in names})


def _rates(drawn: Loads) -> dict[str, Array]:
    """Everything meters show, by the name points use; kW, m3/h, V, A, Hz."""
    net = drawn.load - drawn.pv
    powers = {"net": net, "hvac": drawn.hvac, "pv": drawn.pv}
    volts = 233.0 - 0.02 * net
    # Three phases alike, power factor 0.95.
    amperes = {f"{name}-current": np.abs(kw) * 1000 / (3 * volts * 0.95) for name, kw in powers.items()}
    return {
        **powers,
        **amperes,
        "imported": drawn.imported,
        "exported": drawn.exported,
        "water": drawn.water,
        "gas": drawn.gas / GAS_KWH_PER_M3,
        "nothing": np.zeros_like(net),
        "voltage": volts,
        "frequency": np.full_like(net, 50.0),
    }


def _extent(at: BuildingPoint, block: _Block, i: int, count: int) -> tuple[Array, Array, Array]:
    """Mean, least and greatest of quarter-hours i to i + count; the extremes from 61 probes of the ripple."""
    column = block.column(at.column)
    here = column[i : i + count]
    if at.motion is Motion.STEADY:
        return here, here, here
    ripple = sum(
        np.outer(block.ripple[k, i : i + count], np.sin(2 * np.pi * cycles * _PROBES))
        for k, cycles in enumerate(_CYCLES)
    )
    if at.motion is Motion.RIPPLE:
        probed = here[:, None] * (1.0 + ripple)
        return here, probed.min(axis=1), probed.max(axis=1)
    after = column[i + 1 : i + count + 1]
    probed = here[:, None] + np.outer(after - here, _PROBES) + at.wobble * ripple
    return 0.5 * (here + after), probed.min(axis=1), probed.max(axis=1)


def _wave(amplitudes: list[float], part: float) -> float:
    return sum(a * math.sin(2 * math.pi * c * part) for a, c in zip(amplitudes, _CYCLES, strict=True))


def _wave_integral(amplitudes: list[float], part: float) -> float:
    return sum(
        a * (1.0 - math.cos(2 * math.pi * c * part)) / (2 * math.pi * c)
        for a, c in zip(amplitudes, _CYCLES, strict=True)
    )


def _waves(amplitudes: Array, part: Array) -> Array:
    """The ripple at `part` of each quarter-hour, as a share of the mean; amplitudes has shape (3, n)."""
    cycles = np.array(_CYCLES, np.float64)[:, None]
    ripple: Array = (amplitudes * np.sin(2 * np.pi * cycles * part)).sum(axis=0)
    return ripple


def _waves_integral(amplitudes: Array, part: Array) -> Array:
    cycles = np.array(_CYCLES, np.float64)[:, None]
    integral: Array = (amplitudes * (1.0 - np.cos(2 * np.pi * cycles * part)) / (2 * np.pi * cycles)).sum(
        axis=0
    )
    return integral


def _nan(count: int) -> Array:
    return np.full(count, np.nan)
