"""The BACnet stack: BAC0 started, quietened and stopped as a guest in somebody else's process.

BAC0 is loaded here and nowhere else, when a BACnet link is really opened. On import it would create
~/.BAC0, read a .env file from the working directory into the environment and attach console and file
handlers to its loggers; all three are prevented. It runs the local device, the BBMD registration and
discovery; polling uses the bacpypes3 application underneath (`Stack.app`).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import bacpypes3
import bacpypes3.app  # loaded before BAC0, outside the altered environment
from bacpypes3.apdu import AbortPDU, AbortReason, Error, SubscribeCOVPropertyRequest, error_types
from bacpypes3.ipv4.service import BIPForeign

from drivers.bacnet.foreign import Registration
from drivers.bacnet.settings import BbmdSettings, LinkSettings
from drivers.base import LinkError

READY_WITHIN_S = 3.0

_SUBSCRIBE_PROPERTY = SubscribeCOVPropertyRequest.service_choice
if _SUBSCRIBE_PROPERTY not in error_types:  # bacpypes3 0.0.110: a refusal would be taken for silence
    error_types[_SUBSCRIBE_PROPERTY] = type(
        "SubscribeCOVPropertyError", (Error,), {"service_choice": _SUBSCRIBE_PROPERTY}
    )


@contextmanager
def _harmless_import() -> Iterator[None]:
    """An environment in which BAC0's import leaves nothing behind."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, USERPROFILE=home, PYTHON_DOTENV_DISABLED="1")
        try:
            yield
        finally:  # key by key: other threads may be reading the environment
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            for name, value in before.items():
                if os.environ.get(name) != value:
                    os.environ[name] = value


def _silence() -> None:
    """Take BAC0's handlers away: its loggers print to the console and write under ~/.BAC0."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("BAC0_Root"):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = False
            logger.setLevel(logging.CRITICAL + 1)


with _harmless_import():
    import BAC0
    from BAC0.core.app import asyncApp
_silence()

BACPYPES_VERSION: str = bacpypes3.__version__
_DEVICE_JSON = str(Path(asyncApp.__file__).with_name("device.json"))  # else BAC0 looks in ~/.BAC0 first


class _Quiet(BAC0.lite):  # type: ignore[misc]
    """BAC0 without its I-Am task: with bacpypes3 0.0.110 that waits for ever, waking 100 times a second."""

    def i_am(self) -> None:
        self.this_application.app.i_am()


class Stack:
    """One running BACnet/IP port: BAC0, and the application under it."""

    def __init__(self, bacnet: Any) -> None:
        self._bacnet = bacnet
        self.app: Any = bacnet.this_application.app
        self.registration: Registration | None = None

    @classmethod
    async def open(cls, settings: LinkSettings) -> Stack:
        """Start the local device; raises LinkError when the port cannot be had."""
        interface = IPv4Interface(settings.address)
        _probe(str(interface.ip), settings.port)
        bbmd = settings.bbmd
        try:
            bacnet = _Quiet(
                ip=str(interface),
                port=settings.port,
                deviceId=settings.device_instance,
                localObjName=settings.device_name,
                modelName="HeyZack Gateway",
                bbmdAddress=bbmd.address if bbmd else None,
                bbmdTTL=round(bbmd.ttl) if bbmd else 0,
                ping=False,
                json_file=_DEVICE_JSON,
            )
        except Exception as error:  # BAC0 raises whatever it meets
            raise LinkError(
                f"BACnet cannot start on {settings.address}, port {settings.port}: {error}"
            ) from error
        bacnet._cleanup_task.stop()  # it only tidies BAC0's own task list
        stack = cls(bacnet)
        # Anybody on the network could otherwise rename the gateway or set its time-outs: reject writes.
        stack.app.do_WritePropertyRequest = stack.app.do_WritePropertyMultipleRequest = None
        device = stack.app.device_object
        device.apduTimeout = round(settings.apdu_timeout * 1000)
        device.numberOfApduRetries = settings.retries
        await stack._ready(settings)
        stack._register(bbmd)
        return stack

    async def close(self) -> None:
        """Stop what open() started, timers and sockets included; who still waits gets no answer."""
        self._end_requests()
        if self.registration is not None:
            self.registration.stop()
        links = list(self.app.link_layers.values())
        for link in links:
            if isinstance(link, BIPForeign):
                link._registration_event.set()  # lets go the broadcasts that wait for the BBMD
                await asyncio.sleep(0)
                link.unregister()
        await asyncio.sleep(0)
        await self._bacnet.disconnect()
        await asyncio.sleep(0.01)  # the transports close on the next turns of the loop

    def _register(self, bbmd: BbmdSettings | None) -> None:
        """Keep the registration that BAC0 has begun."""
        for link in self.app.link_layers.values():
            if bbmd is not None and isinstance(link, BIPForeign):
                self.registration = Registration(link, bbmd)
                self.registration.start()

    def _end_requests(self) -> None:
        for transaction in [*self.app.asap.clientTransactions, *self.app.asap.serverTransactions]:
            transaction.stop_timer()
        for request, future in [entry for entries in self.app._requests.values() for entry in entries]:
            if not future.done():
                future.set_exception(AbortPDU(False, request.apduInvokeID, AbortReason.noResponse))
        for search in list(getattr(self.app, "_who_is_futures", ())):
            search.who_is_timeout()

    async def _ready(self, settings: LinkSettings) -> None:
        """Wait for the sockets; bacpypes3 opens them in tasks and retries for ever."""
        servers = [link.server for link in self.app.link_layers.values()]
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        while not all(
            s.local_transport and (s.broadcast_transport or not s.broadcast_address) for s in servers
        ):
            if asyncio.get_running_loop().time() > deadline:
                await self.close()
                raise LinkError(
                    f"BACnet cannot listen on {settings.address}, port {settings.port}: check the address "
                    "and its mask (the broadcast address comes from it)"
                )
            await asyncio.sleep(0.005)


def _probe(host: str, port: int) -> None:
    """Fail early and in words: bacpypes3 shares a taken port without an error and then hears nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise LinkError(f"UDP port {port} on {host} is in use by another program") from error
            if error.errno == errno.EADDRNOTAVAIL:
                raise LinkError(f"{host} is no address of this machine: set the link's 'address'") from error
            raise LinkError(f"UDP port {port} on {host} cannot be opened: {error.strerror}") from error
