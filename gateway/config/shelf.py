"""Where device templates are found: the configuration's own folder first, then those that are shipped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.templates import Template


def shipped_folder() -> Path:
    """The templates inside the package."""
    return Path(str(files("configs"))) / "templates"


@cache
def _shipped(folder: Path) -> dict[str, Path]:
    return _found(folder)


def _found(folder: Path) -> dict[str, Path]:
    """Template name ('maker/model') -> file."""
    if not folder.is_dir():
        return {}
    from drivers.templates import find_templates

    return dict(find_templates(folder))


class TemplateShelf:
    """All templates a configuration may name; each is read once."""

    def __init__(self, folder: Path) -> None:
        self._paths = _shipped(shipped_folder()) | _found(folder / "templates")
        self._read: dict[str, Template] = {}

    @property
    def names(self) -> list[str]:
        return sorted(self._paths)

    def path(self, name: str) -> Path | None:
        return self._paths.get(name)

    def get(self, name: str) -> Template | None:
        """The template; None when there is none of that name. Raises what drivers.templates raises."""
        if name not in self._paths:
            return None
        if name not in self._read:
            from drivers.templates import load_template

            self._read[name] = load_template(self._paths[name])
        return self._read[name]
