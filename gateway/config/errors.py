"""What can be wrong with a configuration, as data: where, what, and what to write instead.

ConfigError             the configuration has problems; `.problems` lists all of them
+-- UnreadableError     there is nothing to check: no folder, no site.yaml, no permission
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

_REMEDY = re.compile(r"; |: (?=(?:write|use|leave|add|set|did you) )")


class Severity(StrEnum):
    """An error keeps the configuration from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands. line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. code: stable, for scripts. hint: the remedy, '' when the message says it."""

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        remedy = f"; {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{remedy}"


class Problems:
    """Collects problems while a configuration is read, so that one run reports all of them."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, place: Place, code: str, message: str, hint: str = "") -> None:
        self._append(Problem(place.file, place.line, place.column, code, message, hint))

    def warn(self, place: Place, code: str, message: str, hint: str = "") -> None:
        self._append(Problem(place.file, place.line, place.column, code, message, hint, Severity.WARNING))

    def all(self) -> list[Problem]:
        """Every problem, in the order of file, line and column."""
        return sorted(self._found, key=lambda p: (p.file, p.line, p.column, p.code))

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.all() if problem.severity is Severity.ERROR]

    def _append(self, problem: Problem) -> None:
        if problem not in self._found:
            self._found.append(problem)


class ConfigError(Exception):
    """The configuration cannot be used."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class UnreadableError(ConfigError):
    """There is nothing to check."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'?" with the nearest known name; '' when nothing is near."""
    names = {str(name).lower(): str(name) for name in known}
    near = get_close_matches(wrong.lower(), names, n=1, cutoff=0.65)
    return f"did you mean '{names[near[0]]}'?" if near else ""


def suggest(wrong: str, known: Iterable[str], what: str = "known") -> str:
    """As did_you_mean, falling back to the list of what is known while that is short enough to read."""
    names = sorted(str(name) for name in known)
    near = did_you_mean(wrong, names)
    if near or not names:
        return near
    return f"{what}: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"


def split_hint(text: str) -> tuple[str, str]:
    """Message and remedy of a text written as "what is wrong; what to do" or "...: write this"."""
    match = _REMEDY.search(text)
    return (text, "") if match is None else (text[: match.start()], text[match.end() :])
