"""`python -m benchmarks NAME --json [--seconds S] [--quick]`: one measurement, one JSON object."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from typing import cast

from benchmarks.harness import Benchmark, Options, machine, versions

NAMES = (
    "modbus",
    "bacnet",
    "mqtt",
    "store",
    "sync",
    "kpi",
    "baseline",
    "web",
    "chaos",
    "portfolio",
    "peers",
)
FACTS = frozenset({"name", "versions", "machine", "seconds", "quick", "ratios"})


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark and print it. Exit code 2 for a benchmark that is not written yet."""
    given = _parser().parse_args(arguments)
    benchmark = _find(given.name)
    if benchmark is None:
        print(f"benchmarks: {given.name!r} is planned and does not exist yet", file=sys.stderr)
        return 2
    report = measure(
        given.name, benchmark, Options(seconds=given.seconds, quick=given.quick, peers=given.peers)
    )
    print(json.dumps(report) if given.json else _table(report))
    return 0


def measure(name: str, benchmark: Benchmark, options: Options) -> dict[str, object]:
    """The whole report of one run. What libraries print while they work goes to stderr."""
    before = machine()
    start = time.perf_counter()
    with redirect_stdout(sys.stderr):
        figures = benchmark.run(options)
    return {
        "name": name,
        "versions": versions(benchmark.LIBRARIES),
        "machine": before,
        "seconds": round(time.perf_counter() - start, 2),
        "quick": options.quick,
        **figures,
    }


def _find(name: str) -> Benchmark | None:
    module = f"benchmarks.{name}"
    try:
        return cast(Benchmark, import_module(module))
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure one part, against a named reference in the same run.",
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--seconds", type=float, help="how long timed phases last together")
    parser.add_argument("--quick", action="store_true", help="tiny parameters: does it work at all")
    parser.add_argument("--peers", action="store_true", help="also run the references that are slow")
    return parser


def _table(report: Mapping[str, object]) -> str:
    """The figures one a line, then the ratios, then where they were measured."""
    lines = [
        f"{key:<28} {_said(value)}"
        for key, value in report.items()
        if key not in FACTS and not isinstance(value, dict)
    ]
    for key, value in report.items():
        if isinstance(value, dict) and key not in FACTS - {"ratios"}:
            title = "ours / reference, below 1 is better" if key == "ratios" else key
            lines += ["", title, *(f"  {name:<26} {_said(part)}" for name, part in value.items())]
    facts = cast(dict[str, object], report["machine"])
    libraries = cast(dict[str, str], report["versions"])
    lines += [
        "",
        f"{report['name']}{' (quick: the figures mean nothing)' if report['quick'] else ''}: "
        f"{report['seconds']} s on {facts['cores']} cores of {facts['cpu']}, {facts['kernel']}, "
        f"load {facts['load_average']}",
        ", ".join(f"{name} {version}" for name, version in libraries.items()),
    ]
    return "\n".join(lines)


def _said(value: object) -> str:
    """Numbers with four digits and thousands separators."""
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:,.0f}" if isinstance(value, float | int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
