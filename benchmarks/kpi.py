"""How long all KPIs of a large building take: 160 series at one minute over 18 months, 124 million samples.

Both figures run the worker's own session, from raw samples to results: `seconds_warm` with the samples as
arrays in memory, `seconds_store` with them in a store on disk, the page cache warm. The references resample
the same series to quarter-hours (mean, minimum, maximum, last, count); ours also weighs by time held and
counts coverage. pandas and polars are compared where they are installed: they are no dependency.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.intervals import gauge_intervals
from analytics.warm import warm
from benchmarks.building import MINUTE_NS, Building, make_building, site_model
from benchmarks.harness import Figure, Options, Turn, interleave, ratios, wall_turn
from benchmarks.store import close, compact
from drivers.base import Batch
from gateway.kpi.feed import SeriesReader
from gateway.kpi.messages import ComputedIntervals, ComputedKpis, Refresh
from gateway.kpi.session import Session
from gateway.site import StoreSettings
from gateway.store.catalogue import SeriesSpec
from gateway.store.columns import Intervals
from gateway.store.history import Samples
from gateway.store.reader import Reader
from gateway.store.store import Store

LIBRARIES = ("numpy", "numba", "pandas", "polars")
START_NS = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**9
QUARTER_NS = 900 * 10**9
BATCH = 10_000
COMPARED_SERIES = 8
FIELDS = ("mean", "min", "max", "last", "count")


def run(options: Options) -> dict[str, Figure]:
    """Seconds for all KPIs from arrays and from the store; the resampling against references."""
    warm()
    days, series = options.choose(547, 20), options.choose(160, 12)
    building = make_building(START_NS, days * 1440, series)
    rounds = options.choose(3, 1)
    arrays = _ArrayReader(building)
    kpis = _Kpis(building)
    warm_s = interleave({"ours": lambda: kpis.seconds(arrays)}, rounds)["ours"]
    resampled = _resampling(building, rounds)
    with tempfile.TemporaryDirectory(prefix="heyzack-bench-") as folder:
        filling_s = _fill(Path(folder), building)
        store_s = interleave({"ours": lambda: kpis.from_store(Path(folder))}, rounds)["ours"]
        one_series_s = interleave({"ours": wall_turn(lambda: _one_series(Path(folder), building))}, rounds)
        size = sum(file.stat().st_size for file in Path(folder).glob("history-*.db"))
    samples = building.samples
    return {
        "seconds_warm": round(warm_s, 3),
        "seconds_store": round(store_s, 3),
        "seconds_one_series": round(one_series_s["ours"], 4),
        "samples": samples,
        "series": len(building.values),
        "kpi_results": kpis.results,
        "kpis_with_value": kpis.valued,
        "store_bytes_per_sample": round(size / samples, 2),
        "filling_samples_per_s": round(samples / filling_s),
        **resampled,
    }


class _ArrayReader:
    """The building's samples as a `SeriesReader`: views of arrays, no stored intervals."""

    def __init__(self, building: Building) -> None:
        self._building = building
        self._good = np.zeros(len(building.time), np.uint8)

    def samples(self, series: int, start_ns: int, end_ns: int) -> Samples:
        time_ns = self._building.time
        begin, end = np.searchsorted(time_ns, (start_ns, end_ns)).tolist()
        values = self._building.values.get(series)
        if values is None:
            return Samples.empty()
        return Samples(time_ns[begin:end], values[begin:end], self._good[begin:end])

    def oldest_sample_time(self, series: int) -> int:
        return START_NS if series in self._building.values else 0

    def newest_interval_start(self, series: int, resolution: str) -> int:
        return 0

    def intervals(self, series: int, resolution: str, start_ns: int, end_ns: int) -> Intervals:
        nothing = np.empty(0)
        return Intervals(
            start=np.empty(0, np.int64),
            mean=nothing,
            min=nothing,
            max=nothing,
            delta=nothing,
            count=nothing,
            completeness=nothing,
            flags=np.empty(0, np.uint16),
        )


class _Kpis:
    """One refresh of a new session: every interval, role, model and KPI from the raw samples."""

    def __init__(self, building: Building) -> None:
        self._building = building
        self.results = 0
        self.valued = 0
        self._quarters = 0

    def seconds(self, reader: SeriesReader) -> float:
        """Seconds for everything; what a session hands on is counted and let go."""
        building = self._building
        session = Session(site_model(building))
        end = building.end // QUARTER_NS * QUARTER_NS
        self.results = self.valued = self._quarters = 0
        started = time.perf_counter()
        session.refresh(reader, Refresh(building.end, end), self._count)
        seconds = time.perf_counter() - started
        if self._quarters < (expected := len(building.values) * (end - START_NS) // QUARTER_NS):
            raise RuntimeError(f"{self._quarters} quarter-hours were computed, not {expected}")
        return seconds

    def from_store(self, folder: Path) -> float:
        with Reader(folder) as reader:
            return self.seconds(reader)

    def _count(self, message: ComputedIntervals | ComputedKpis) -> None:
        if isinstance(message, ComputedKpis):
            self.results += len(message.results)
            self.valued += len({result.kpi for result in message.results if result.value is not None})
        elif message.resolution == "15m":
            self._quarters += len(message.columns[0]) // 8


def _fill(folder: Path, building: Building) -> float:
    """Commit the whole building month by month and compact it, as time would; the seconds it took."""
    started = time.perf_counter()
    settings = StoreSettings(folder, raw_days=36_500)
    store = Store.open(folder, now=time.time_ns, settings=settings, site="bench")
    store.catalogue.register(
        [SeriesSpec("bench", str(n), "electric_power", "kW", "gauge") for n in building.values]
    )
    month = 30 * 1440
    for first in range(0, len(building.time), month):
        futures = []
        for series, values in building.values.items():
            for at in range(first, min(first + month, len(values)), BATCH):
                part = slice(at, min(at + BATCH, first + month, len(values)))
                ids = np.full(part.stop - part.start, series, np.int32)
                futures.append(store.submit(Batch.of(ids, building.time[part], values[part])))
        for future in futures:
            future.result()
        while _behind(store):
            compact(store)
    close(store)
    return time.perf_counter() - started


def _behind(store: Store) -> bool:
    """Whether samples wait for the compactor."""
    return store._compactor.mark < store.status().newest_seq


def _one_series(folder: Path, building: Building) -> float:
    """One series of 18 months read and resampled: what a chart of it costs."""
    with Reader(folder) as reader:
        found = reader.samples(1, START_NS, building.end)
    gauge_intervals(found.time, found.value, _edges(building), 3 * MINUTE_NS)
    assert len(found) == len(building.time)
    return 1.0


def _resampling(building: Building, rounds: int) -> dict[str, Figure]:
    """Quarter-hours of a few series by our kernel, numpy and what else is installed; copying as the floor."""
    columns = [building.values[n] for n in list(building.values)[1 : COMPARED_SERIES + 1]]
    samples = len(columns) * len(building.time)
    edges = _edges(building)
    candidates: dict[str, Turn] = {
        "ours": _turn(lambda v: gauge_intervals(building.time, v, edges, 3 * MINUTE_NS), columns),
        "numpy_reduceat": _turn(_reduceat(building), columns),
        "copy": _turn(lambda v: (building.time.copy(), v.copy()), columns),
    }
    for name, reference in (("pandas", _pandas), ("polars", _polars)):
        if importlib.util.find_spec(name) is not None:
            candidates[name] = _turn(reference(building), columns)
    medians = interleave(candidates, max(rounds, 1))
    copy = medians.pop("copy")
    size = 16 * samples
    missing = [name for name in ("pandas", "polars") if name not in candidates]
    return {
        "bytes_per_s": round(size / (samples * medians["ours"])),
        "copy_bytes_per_s": round(size / (samples * copy)),
        "references_absent": ", ".join(missing) or "none",
        "ratios": ratios(medians),
    }


def _turn(work: Callable[[NDArray[np.float64]], Any], columns: list[NDArray[np.float64]]) -> Turn:
    def all_columns() -> float:
        for values in columns:
            work(values)
        return float(sum(map(len, columns)))

    return wall_turn(all_columns)


def _edges(building: Building) -> NDArray[np.int64]:
    return np.arange(START_NS, building.end + 1, QUARTER_NS, dtype=np.int64)


def _reduceat(building: Building) -> Callable[[NDArray[np.float64]], Any]:
    edges = _edges(building)[:-1]

    def work(values: NDArray[np.float64]) -> Any:
        at = np.searchsorted(building.time, edges)
        count = np.diff(np.append(at, len(values)))
        mean = np.add.reduceat(values, at) / count
        return (
            mean,
            np.minimum.reduceat(values, at),
            np.maximum.reduceat(values, at),
            values[at + count - 1],
            count,
        )

    return work


def _pandas(building: Building) -> Callable[[NDArray[np.float64]], Any]:
    pandas: Any = importlib.import_module("pandas")
    index = pandas.DatetimeIndex(building.time)
    return lambda values: pandas.Series(values, index).resample("15min").agg(list(FIELDS))


def _polars(building: Building) -> Callable[[NDArray[np.float64]], Any]:
    polars: Any = importlib.import_module("polars")
    stamps = polars.Series("time", building.time).cast(polars.Datetime("ns"))
    value = polars.col("value")
    wanted = [getattr(value, name)().alias(name) for name in FIELDS]

    def work(values: NDArray[np.float64]) -> Any:
        frame = polars.DataFrame({"time": stamps, "value": values})
        return frame.group_by_dynamic("time", every="15m").agg(wanted)

    return work
