"""Compile every kernel ahead, into the cache: `python -m analytics.warm`."""

from __future__ import annotations

import sys

import numpy as np

from analytics.baseline.daily import fit_daily
from analytics.demand import rolling_demand
from analytics.intervals import counter_intervals, gauge_intervals, roll_up


def warm() -> int:
    """Run every kernel once with the types it meets in service; the number of kernels' entry points run."""
    time = np.arange(0, 40, dtype=np.int64) * 60_000_000_000
    value = np.linspace(1.0, 5.0, 40)
    edges = np.arange(0, 4, dtype=np.int64) * 600_000_000_000
    gauge_intervals(time, value, edges, 180_000_000_000)
    fine = counter_intervals(time, value, edges, 180_000_000_000, 1e6, 1e3)
    roll_up(fine, 600_000_000_000, edges[::3])
    fit_daily(value * 10.0, np.linspace(-5.0, 25.0, 40))
    rolling_demand(value, 2)
    return 5


if __name__ == "__main__":
    sys.stdout.write(f"{warm()} kernels ready\n")
