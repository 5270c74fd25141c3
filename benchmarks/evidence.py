"""`python -m benchmarks.evidence`: run every benchmark and the idle demo, write docs/evidence/.

Each benchmark runs in a process of its own, one after the other, so that none shares the machine with
another. For each, NAME.json has the whole report and NAME.md the same for reading, with how to repeat it.
What fails is told at the end and in the exit code; what was measured before it stays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.__main__ import FACTS, NAMES
from benchmarks.harness import REPOSITORY, machine, versions

FOLDER = REPOSITORY / "docs" / "evidence"
IDLE = "idle-demo"
IDLE_S = 180
IDLE_LIBRARIES = ("numpy", "numba", "uvloop", "pymodbus", "BAC0", "paho-mqtt")
PLANNED = 2
"""Exit code of a benchmark that does not exist yet."""
PATIENCE_S = 1800.0

BUDGETS: Mapping[str, Sequence[tuple[str, str, float]]] = {
    "modbus": (("points_per_s", ">=", 130_000), ("cpu_percent_20k", "<=", 18), ("rss_mb", "<=", 250)),
    "store": (("samples_per_s", ">=", 500_000),),
    "sync": (("lines_per_s", ">=", 500_000), ("lines_per_s_gzip", ">=", 350_000), ("drain_factor", ">=", 20)),
    "kpi": (("seconds_warm", "<=", 1.0), ("seconds_store", "<=", 5.0), ("seconds_one_series", "<=", 0.1)),
    "baseline": (("ms_warm", "<=", 2.0),),
    "web": (("p95_ms", "<=", 50.0), ("page_ms", "<=", 1000.0)),
    IDLE: (("cpu_percent", "<=", 10.0), ("rss_mb", "<=", 150.0)),
}
"""The design's budgets: figure, direction, bound. A missed one is written down, not hidden."""

Report = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for, everything by default; 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join([*NAMES, IDLE])}")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--quick", action="store_true", help="tiny parameters; the figures mean nothing")
    given = parser.parse_args(arguments)
    wanted = given.names or [IDLE, *NAMES]
    if unknown := set(wanted) - {*NAMES, IDLE}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    given.folder.mkdir(parents=True, exist_ok=True)
    failed = [name for name in wanted if not _measure(name, given.folder, quick=given.quick)]
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measure(name: str, folder: Path, *, quick: bool) -> bool:
    """Measure and write one; whether it worked. One that is planned only is passed over."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    take: Callable[..., Report | None] = idle_demo if name == IDLE else benchmark
    try:
        report = take(name, quick=quick)
    except (subprocess.SubprocessError, ValueError, RuntimeError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    if report is not None:
        report = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **report}
        (folder / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (folder / f"{name}.md").write_text(page(name, report), encoding="utf-8")
    return True


def benchmark(name: str, *, quick: bool) -> Report | None:
    """One benchmark's report; None when it does not exist yet. Raises RuntimeError with its last words."""
    arguments = ["-m", "benchmarks", name, "--json", *(["--quick"] if quick else [])]
    done = _python(arguments)
    if done.returncode == PLANNED:
        return None
    if done.returncode:
        raise RuntimeError(f"it failed:\n{done.stderr[-2000:]}")
    found: Report = json.loads(done.stdout)
    return found


def idle_demo(name: str, *, quick: bool) -> Report:
    """The demo in a fresh folder: processor and memory of its gateway in its last 20 s, import long done."""
    before = machine()
    seconds = 45 if quick else IDLE_S
    with tempfile.TemporaryDirectory(prefix="heyzack-idle-") as folder:
        done = _python(["-m", "gateway", "demo", "--for", f"{seconds}s", "--json", "--state", folder])
    if done.returncode:
        raise RuntimeError(f"the demo failed:\n{done.stderr[-2000:]}")
    figures: Report = json.loads(done.stdout)
    kpis = figures.pop("kpis", {})
    return {
        "name": name,
        "versions": versions(IDLE_LIBRARIES),
        "machine": before,
        "seconds": seconds,
        "quick": quick,
        **figures,
        "kpis_with_value": sum(kpi["value"] is not None for kpi in kpis.values()),
    }


def _python(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def page(name: str, report: Report) -> str:
    """The report for reading: figures, budgets, ratios, machine, versions, how to repeat it."""
    where, libraries = report["machine"], report["versions"]
    command = (
        f"heyzack demo --for {report['seconds']}s --json --state $(mktemp -d)"
        if name == IDLE
        else f"python -m benchmarks {name} --json"
    )
    parts = [f"# {name}\n", METHODS.get(name, f"Method: the first lines of `benchmarks/{name}.py`.") + "\n"]
    if report["quick"]:
        parts.append("**Quick run with tiny parameters: these figures mean nothing.**\n")
    parts.append(_table(("figure", "value"), _figures(report)))
    if budgets := list(_budgets(name, report)):
        parts.append("## Budgets\n\n" + _table(("figure", "budget", "measured", ""), budgets))
    if report.get("ratios"):
        rows = [(key, _said(value)) for key, value in report["ratios"].items()]
        head = "## Ratios\n\nOurs / reference, medians of interleaved turns; below 1 is better.\n\n"
        parts.append(head + _table(("reference", "ratio"), rows))
    parts.append(
        f"## Conditions\n\nMeasured {report['measured_at']}, in {report['seconds']} s, on "
        f"{where['cores']} cores of {where['cpu']}, {where['memory_mb']:,} MB, {where['kernel']}; "
        "load averages before it began: "
        f"{', '.join(map(str, where['load_average']))}.\n\n"
        + ", ".join(f"{library} {version}" for library, version in libraries.items())
        + f".\n\nRepeat: `{command}`\n"
    )
    return "\n".join(parts)


METHODS: Mapping[str, str] = {
    IDLE: (
        "The whole demo on one machine: 15 simulated devices on the wire, broker, receiver, gateway with its "
        "KPI worker, page. The state folder is fresh, so 25 months of history are imported and sent first; "
        "processor (of one core) and memory are those of the gateway process in the last 20 s, when that is "
        "done. `worker_rss_mb` is the KPI worker, a process of its own. `poll_late` counts polls since the "
        "start, import included."
    ),
}


def _figures(report: Report) -> list[tuple[str, str]]:
    facts = FACTS | {"measured_at"}
    rows: list[tuple[str, str]] = []
    for key, value in report.items():
        if key in facts:
            continue
        if isinstance(value, dict):
            rows += [(f"{key}: {part}", _said(found)) for part, found in value.items()]
        else:
            rows.append((key, _said(value)))
    return rows


def _budgets(name: str, report: Report) -> Sequence[tuple[str, str, str, str]]:
    rows = []
    for figure, direction, bound in BUDGETS.get(name, ()):
        value = report.get(figure)
        if value is None:
            rows.append((figure, f"{direction} {bound:,g}", "-", "not measured"))
            continue
        met = value >= bound if direction == ">=" else value <= bound
        rows.append((figure, f"{direction} {bound:,.10g}", _said(value), "met" if met else "**missed**"))
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _said(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, float | int):
        return str(value)
    return f"{value:,}" if isinstance(value, int) or abs(value) < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
