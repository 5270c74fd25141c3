"""Staying registered with a BBMD, so that broadcasts cross to other subnets.

bacpypes3 0.0.110 renews a registration at its end and gives up for good when one renewal is refused or a
BBMD stays away longer than the entry lives. Here it is renewed at half its life, looked at every few
seconds, and made anew whenever it does not stand: a BBMD that was restarted costs seconds, not a restart.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bacpypes3.pdu import IPv4Address

from drivers.bacnet.settings import BbmdSettings

_log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
REGISTERED = 0


class Registration:
    """One foreign-device registration. link: the library's BIPForeign."""

    def __init__(self, link: Any, settings: BbmdSettings) -> None:
        self._link = link
        self._address = IPv4Address(settings.address)
        self._ttl = round(settings.ttl)
        self._timer: asyncio.TimerHandle | None = None
        self._made = 0.0
        self._stood = True

    @property
    def stands(self) -> bool:
        """Whether the BBMD has accepted the registration, as far as it told."""
        return bool(self._link.bbmdRegistrationStatus == REGISTERED)

    def start(self) -> None:
        self._made = asyncio.get_running_loop().time()
        self._look_later()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def doubt(self) -> None:
        """Somebody does not answer: the BBMD may have forgotten us. Renewed at most every few seconds."""
        if asyncio.get_running_loop().time() - self._made >= LOOK_EVERY_S:
            self._renew()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(min(LOOK_EVERY_S, self._ttl / 2), self._look)

    def _look(self) -> None:
        age = asyncio.get_running_loop().time() - self._made
        if self.stands != self._stood:
            self._stood = self.stands
            words = "registered again" if self._stood else "the registration does not stand, trying again"
            _log.warning("BBMD %s: %s", self._address, words)
        if not self.stands or age >= self._ttl / 2:
            self._renew()
        self._look_later()

    def _renew(self) -> None:
        self._made = asyncio.get_running_loop().time()
        self._link._stop_tracking_registration()  # else register() does nothing while an old one is known
        self._link.register(self._address, self._ttl)
