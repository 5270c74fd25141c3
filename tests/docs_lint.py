"""Holds the documentation to the repository: links lead somewhere, named files and commands exist.

`python -m tests.docs_lint` prints each problem as file:line and exits 1 when there is one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAMED_FILE = re.compile(
    r"(?<![\w/.])((?:gateway|drivers|analytics|sync|simulators|configs|docs|tests|benchmarks)/[\w./-]*\.\w+)"
)
VERB = re.compile(r"`(?:[^`]*\s)?heyzack ([a-z]+)")
REGISTRIES = re.compile(r"pypi\.org|pythonhosted|npmjs|registry\.npm|deb\.debian|crates\.io", re.IGNORECASE)


def documents() -> list[Path]:
    """Every Markdown file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def problems(path: Path, verbs: set[str]) -> Iterator[str]:
    """What is wrong in one document."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.relative_to(ROOT)}:{number}"
        for target in LINK.findall(line):
            if "://" not in target and not (path.parent / target).exists():
                yield f"{where}: the link {target} leads nowhere"
        for named in NAMED_FILE.findall(line):
            if not (ROOT / named).exists() and not (path.parent / named).exists():
                yield f"{where}: there is no file {named}"
        for verb in VERB.findall(line):
            if verb not in verbs:
                yield f"{where}: heyzack has no verb {verb!r}"
        if REGISTRIES.search(line):
            yield f"{where}: names a package registry"


def main() -> int:
    from gateway.cli import main as heyzack

    verbs = set(heyzack.list_commands(heyzack.make_context("heyzack", [], resilient_parsing=True)))
    found = [problem for path in documents() for problem in problems(path, verbs)]
    for problem in found:
        print(problem)  # noqa: T201 - this is a command
    print(f"{len(documents())} documents, {len(found)} problems")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
