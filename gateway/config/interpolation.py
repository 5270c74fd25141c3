"""`${...}` in configuration texts: environment variables and secrets.

    ${NAME}               the environment variable; an error when it is not set
    ${NAME:-default}      with a default for when it is not set or empty
    ${NAME:?message}      an error with your own words when it is not set or empty
    ${secret:name}        the content of the file `name` in a secrets folder, without the final newline
    $${                   a literal ${

Secrets folders, in this order: $HEYZACK_SECRETS_DIR, $CREDENTIALS_DIRECTORY (systemd), <config>/secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_REFERENCE = re.compile(
    r"\$\$\{"
    r"|\$\{secret:(?P<secret>[A-Za-z0-9_][A-Za-z0-9_.-]*)\}"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<how>[-?])(?P<rest>[^}]*))?\}"
    r"|\$\{(?P<broken>[^}]*)\}?"
)


class InterpolationError(ValueError):
    """A reference that leads nowhere. code: as in Problem; offset: where in the text it starts."""

    def __init__(self, code: str, message: str, hint: str, offset: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A text with its references replaced. secret: one of them was a secret, so never show it."""

    text: str
    secret: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where references lead: environment variables and secrets folders."""

    environ: Mapping[str, str]
    secret_folders: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path, environ: Mapping[str, str]) -> Surroundings:
        """Those of a configuration folder."""
        named = [
            environ[name] for name in ("HEYZACK_SECRETS_DIR", "CREDENTIALS_DIRECTORY") if environ.get(name)
        ]
        return cls(environ, (*(Path(path) for path in named), folder / "secrets"))

    def interpolate(self, text: str) -> Interpolated:
        """Replace every reference of `text`; raises InterpolationError."""
        secret = False

        def replace(match: re.Match[str]) -> str:
            nonlocal secret
            if match.group() == "$${":
                return "${"
            if match["secret"]:
                secret = True
                return self._secret(match["secret"], match.start())
            if match["name"]:
                return self._variable(match)
            raise InterpolationError(
                "interpolation",
                f"'{match.group()}' is no reference",
                "write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${secret:name}; a literal is $${",
                match.start(),
            )

        return Interpolated(_REFERENCE.sub(replace, text), secret)

    def _variable(self, match: re.Match[str]) -> str:
        name, how = match["name"], match["how"]
        value = self.environ.get(name)
        if value or (value is not None and not how):
            return value
        if how == "-":
            return str(match["rest"])
        hint = match["rest"] if how == "?" else ""
        raise InterpolationError(
            "missing-variable",
            f"environment variable {name} is not set",
            hint or f"set it, or give a default: ${{{name}:-value}}",
            match.start(),
        )

    def _secret(self, name: str, offset: int) -> str:
        for folder in self.secret_folders:
            try:
                return (folder / name).read_text(encoding="utf-8").removesuffix("\n")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
                raise InterpolationError(
                    "missing-secret",
                    f"secret '{name}' cannot be read: {folder / name}: {reason}",
                    "make the file readable for the gateway's user",
                    offset,
                ) from None
        looked = ", ".join(str(folder / name) for folder in self.secret_folders)
        raise InterpolationError(
            "missing-secret",
            f"secret '{name}' was not found; looked for {looked}",
            f"write the value into {self.secret_folders[-1] / name}, readable for the gateway only",
            offset,
        )
