"""Configuration: YAML in, one frozen `Installation` out, or every problem with its place and remedy.

load(folder) -> Installation        raises ConfigError
check(folder) -> list[Problem]      never raises for what the files say
diff(old, new) -> Changes           what a reload has to do
"""

from gateway.config.build import check, load
from gateway.config.diff import Changes, Delta, diff
from gateway.config.errors import ConfigError, Problem, Severity, UnreadableError

__all__ = [
    "Changes",
    "ConfigError",
    "Delta",
    "Problem",
    "Severity",
    "UnreadableError",
    "check",
    "diff",
    "load",
]
