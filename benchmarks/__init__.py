"""Measurements against named references, run from a clone: `python -m benchmarks NAME --json`."""
