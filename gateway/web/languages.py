"""The two languages: texts from locale/*.json, chosen by the visitor, checked for completeness by a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import get_args

from gateway.web.formats import Lang

LANGUAGES: tuple[Lang, ...] = get_args(Lang)


@dataclass(frozen=True, slots=True)
class Language:
    """One language's texts. A text may hold {placeholders}; plurals are two keys, `.one` and `.other`."""

    code: Lang
    texts: Mapping[str, str]

    def t(self, key: str, **values: object) -> str:
        """The text of `key`; KeyError when it is missing, which a test rules out for every key in use."""
        return self.texts[key].format(**values)

    def has(self, key: str) -> bool:
        return key in self.texts

    def plural(self, key: str, n: int, **values: object) -> str:
        """`key.one` or `key.other` by the language's own rule: French counts zero as one."""
        single = n in (0, 1) if self.code == "fr" else n == 1
        return self.t(f"{key}.{'one' if single else 'other'}", n=n, **values)


def load_languages() -> Mapping[Lang, Language]:
    """Read every language once, at start."""
    folder = files("gateway.web") / "locale"
    return {
        code: Language(code, json.loads((folder / f"{code}.json").read_text("utf-8"))) for code in LANGUAGES
    }


def as_lang(text: str | None) -> Lang | None:
    """A language tag as one of ours: 'fr-CA' -> 'fr', anything unknown -> None."""
    primary = (text or "").strip().lower()[:2]
    return next((lang for lang in LANGUAGES if lang == primary), None)


def negotiate(chosen: str | None, remembered: str | None, accept: str, default: str) -> Lang:
    """What was asked for, else what was remembered, else what the browser accepts, else the site's."""
    for candidate in (chosen, remembered, *_accepted(accept), default):
        if lang := as_lang(candidate):
            return lang
    return "en"


def _accepted(header: str) -> list[str]:
    """Accept-Language in order of preference."""
    ranked = []
    for position, part in enumerate(header.split(",")):
        tag, _, weight = part.partition(";q=")
        try:
            rank = float(weight) if weight else 1.0
        except ValueError:
            rank = 0.0
        ranked.append((-rank, position, tag))
    return [tag for _, _, tag in sorted(ranked)]
