"""The benchmarks of store, sync, KPIs and baseline still run, with tiny parameters, and keep their names.

Never a speed: how fast something is depends on the machine; `make evidence` measures that.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks import baseline, evidence, kpi, store, sync
from benchmarks.__main__ import measure
from benchmarks.harness import Benchmark, Options

FACTS = {"name", "versions", "machine", "seconds", "quick", "ratios"}
NAMED = [
    (store, {"samples_per_s", "bytes_per_sample", "read_samples_per_s"}, {"sqlite_rows", "append_fsync"}),
    (
        sync,
        {"lines_per_s", "lines_per_s_gzip", "drain_factor", "live_latency_s"},
        {"influxdb_client_points"},
    ),
    (
        kpi,
        {"seconds_warm", "seconds_store", "samples", "bytes_per_s", "copy_bytes_per_s"},
        {"numpy_reduceat"},
    ),
    (baseline, {"ms_warm"}, {"dense_lstsq"}),
]


@pytest.mark.parametrize(
    ("module", "figures", "references"), NAMED, ids=[str(module.__name__) for module, _, _ in NAMED]
)
def test_a_benchmark_gives_every_named_figure_and_reference(
    module: Benchmark, figures: set[str], references: set[str]
) -> None:
    report = json.loads(json.dumps(measure("it", module, Options(quick=True))))
    assert report.keys() >= FACTS | figures
    assert all(math.isfinite(report[figure]) for figure in figures)
    assert report["ratios"].keys() >= references
    assert all(ratio > 0 for ratio in report["ratios"].values())


def test_the_baseline_says_the_same_as_dense_least_squares() -> None:
    assert baseline.run(Options(quick=True))["largest_difference"] < baseline.SAME


def report(**figures: object) -> dict[str, object]:
    where = {"cpu": "c", "cores": 2, "memory_mb": 1, "kernel": "k", "load_average": [0.0, 0.0, 0.0]}
    facts = {"measured_at": "2025-01-01", "versions": {"python": "3"}, "machine": where, "seconds": 1.0}
    return {**facts, "quick": False, **figures}


def test_evidence_says_of_each_budget_whether_it_is_met() -> None:
    page = evidence.page("sync", report(lines_per_s=600_000, lines_per_s_gzip=1000, ratios={"other": 0.5}))
    assert "| lines_per_s | >= 500,000 | 600,000 | met |" in page
    assert "| lines_per_s_gzip | >= 350,000 | 1,000 | **missed** |" in page
    assert "not measured" in page
    assert "| other | 0.5 |" in page
    assert "python -m benchmarks sync --json" in page


def test_evidence_refuses_a_name_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        evidence.main(["nothing", "--folder", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_a_planned_benchmark_leaves_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "benchmark", lambda name, quick: None)
    assert evidence.main(["chaos", "--folder", str(tmp_path)]) == 0
    assert not list(tmp_path.iterdir())
