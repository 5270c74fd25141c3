"""What every route shares, made once in `create_app` and handed down: no globals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from fastapi import Request

from gateway.status import PointStatus, SiteStatus
from gateway.web.formats import Lang
from gateway.web.languages import Language, negotiate
from gateway.web.live import LiveHub
from gateway.web.problems import Problem
from gateway.web.store_access import StoreAccess
from gateway.web.words import Voice

if TYPE_CHECKING:
    from gateway.web.sources import RunningGateway

LANG_COOKIE = "lang"


@dataclass(frozen=True, slots=True)
class Context:
    """The running gateway, its store, the live hub and the languages."""

    gateway: RunningGateway
    store: StoreAccess
    hub: LiveHub
    languages: Mapping[Lang, Language]

    def lang(self, request: Request) -> Lang:
        """The visitor's language: ?lang=, then the cookie, then the browser, then the site's own."""
        return negotiate(
            request.query_params.get("lang"),
            request.cookies.get(LANG_COOKIE),
            request.headers.get("accept-language", ""),
            self.gateway.installation.site.language,
        )

    def voice(self, request: Request, status: SiteStatus) -> Voice:
        return Voice(self.languages[self.lang(request)], ZoneInfo(status.timezone), status.time)

    def point(self, device: str, point: str) -> PointStatus:
        """One point by name. Raises Problem 404."""
        for found in self.gateway.points(device):
            if found.point == point:
                return found
        raise Problem(404, "No such point", f"There is no point {device}/{point}.")
