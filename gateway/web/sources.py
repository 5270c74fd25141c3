"""What the page needs of the running gateway, as a protocol: the web package imports nothing that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from gateway.site import Installation
from gateway.status import PointStatus, SiteStatus
from gateway.store.reader import Reader


class ReloadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a reload did. errors: nothing was applied, the running configuration stays."""

    applied: bool
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class RunningGateway(Protocol):
    """The running gateway, as the page sees it. All methods are cheap: they copy what is in memory."""

    @property
    def installation(self) -> Installation: ...

    def status(self) -> SiteStatus: ...

    def points(self, device: str | None = None) -> Sequence[PointStatus]: ...

    def reader(self) -> Reader:
        """A reader of the store for use in a thread; the caller closes it."""
        ...

    def changes(self) -> AsyncIterator[Sequence[PointStatus]]:
        """Points whose newest sample changed, about once a second, for as long as it is iterated."""
        ...

    async def reload(self) -> ReloadReport: ...
