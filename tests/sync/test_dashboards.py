"""What ships for dashboard builders speaks of the schema, and a real server understands it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML

from sync.influx import InfluxSink, InfluxTarget
from sync.line_protocol import Encoder
from sync.outbox import Fact, IntervalRows, Parcel, SampleColumns, SeriesTags
from sync.sink import Accepted
from tests.servers.influxd import Influxd

DASHBOARD: dict[str, Any] = json.loads(files("configs").joinpath("grafana/building.json").read_text())
INTERVAL_FIELDS = {"mean", "min", "max", "delta", "count", "completeness"}
KPI_FIELDS = {"value", "lower", "upper", "target", "baseline", "attainment", "completeness", "status_code"}
SERIES = [
    SeriesTags("electric_energy", "hq", "_site", "site.electricity.import", "kWh"),
    SeriesTags("electric_energy", "hq", "_site", "site.pv.generation", "kWh"),
    SeriesTags("water_volume", "hq", "_site", "site.water", "m3"),
    SeriesTags("temperature", "hq", "ahu-1", "supply_temp", "degC"),
    SeriesTags("co2", "hq", "room-101", "co2", "ppm"),
]


def panel_queries() -> Iterator[Any]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield pytest.param(target["query"], id=panel["title"])
    yield pytest.param(DASHBOARD["annotations"]["list"][0]["query"], id="annotation")


def templates() -> list[dict[str, Any]]:
    text = files("configs").joinpath("influxdb/building.yaml").read_text()
    return list(YAML(typ="safe").load_all(text))


def test_the_dashboards_address_is_stable() -> None:
    assert DASHBOARD["uid"] == "heyzack-building"
    assert "id" not in DASHBOARD


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_the_influxdb_template_names_its_parts_once() -> None:
    names = [(part["kind"], part["metadata"]["name"]) for part in templates()]
    assert len(set(names)) == len(names)
    assert {kind for kind, _ in names} == {"Bucket", "Label", "Variable", "Dashboard"}
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for _, name in names)


def test_the_influxdb_template_asks_for_fields_of_the_schema() -> None:
    (dashboard,) = [part for part in templates() if part["kind"] == "Dashboard"]
    for chart in dashboard["spec"]["charts"]:
        (query,) = [query["query"] for query in chart["queries"]]
        (measurement,) = re.findall(r'r\._measurement == "(\w+)"', query)
        fields = set(re.findall(r'r\._field == "(\w+)"', query))
        fields |= set(re.findall(r'"(\w+)"', "".join(re.findall(r"set: \[(.*?)\]", query))))
        assert fields
        if measurement == "kpi":
            assert fields <= KPI_FIELDS
        elif measurement == "event":
            assert fields <= {"message", "severity_code", "value"}
        elif measurement.endswith("_15m"):
            assert fields <= INTERVAL_FIELDS
        else:
            assert fields <= {"value", "quality"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """An influxd that holds an hour of everything, as the encoder writes it."""
    running = Influxd(tmp_path_factory.mktemp("influxd"))
    running.start()
    try:
        running.create()
        sink = InfluxSink(InfluxTarget(running.url, api="v1", database=running.database, timeout_s=10))
        for body in Encoder(tags).bodies(everything(), 5000):
            assert sink.write(body.data, body.lines) == Accepted()
        sink.close()
        yield running
    finally:
        running.kill()


def tags(series: NDArray[np.int32]) -> list[SeriesTags]:
    return [SERIES[i] for i in series.tolist()]


def everything() -> Parcel:
    n = len(SERIES)
    now = time.time_ns() - 600 * 10**9
    series, times = np.arange(n, dtype=np.int32), np.full(n, now, np.int64)
    figures = {name: np.full(n, 12.5) for name in INTERVAL_FIELDS}
    kpi = dict.fromkeys(KPI_FIELDS, 1.5) | {"status": "on_track"}
    return Parcel(
        1,
        1,
        samples=SampleColumns(series, times, np.full(n, 21.5), np.zeros(n, np.uint8)),
        intervals=[IntervalRows(resolution, series, times, figures) for resolution in ("15m", "1h", "1d")],
        facts=[
            Fact(
                "kpi",
                (("site", "hq"), ("kpi", "energy_use"), ("cadence", "daily"), ("unit", "kWh")),
                kpi,
                now,
            ),
            Fact(
                "event",
                (("site", "hq"), ("source", "ahu-1"), ("kind", "device_lost")),
                {"severity_code": 2.0, "message": "no answer"},
                now,
            ),
        ],
    )


@pytest.mark.servers
@pytest.mark.parametrize("query", list(panel_queries()))
def test_every_panel_shows_something(server: Influxd, query: str) -> None:
    for macro, value in (("$timeFilter", "time > now() - 1h"), ("$__interval", "1m"), ("$site", "hq")):
        query = query.replace(macro, value)
    found = server.query(query)
    assert any(value is not None for series in found for row in series["values"] for value in row[1:])


@pytest.mark.servers
def test_the_site_variable_lists_the_sites(server: Influxd) -> None:
    (site,) = [variable for variable in DASHBOARD["templating"]["list"] if variable["name"] == "site"]
    (series,) = server.query(site["query"])
    assert series["values"] == [["site", "hq"]]
