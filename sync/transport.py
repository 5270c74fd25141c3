"""HTTP with what urllib3 leaves out: a deadline on the clock, and the news that a connection was lost.

urllib3's timeouts bound each read, so a server that answers one byte a second holds a thread for ever; here a
timer cuts the socket. urllib3 also replaces a dropped idle connection without a word, but to the sender that
may mean a server that restarted and forgot; here it is counted.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

CONNECT_SHARE = 0.5
"""Part of the total deadline that connecting may take, so that a second address still gets its turn."""


class DeadlineError(Exception):
    """The total deadline passed before the answer was complete."""


class Transport:
    """One keep-alive connection to one server; for one thread.

    pool: to be used inside `deadline` only. timeout_s: total for one request, from look-up to last byte [s].
    """

    def __init__(self, timeout_s: float, *, verify: bool, ca: Path | None, proxy: str = "") -> None:
        self.timeout_s = timeout_s
        self._active: HTTPConnection | None = None
        self._expired = False
        self._had_connection = False
        self._close_announced = False
        self._reconnected = False
        self.pool = self._make_pool(verify, ca, proxy)

    @contextmanager
    def deadline(self) -> Iterator[None]:
        """Bound everything inside by `timeout_s`, raising DeadlineError whatever the library made of it."""
        self._expired = False
        timer = threading.Timer(self.timeout_s, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if self._expired:
                raise DeadlineError(f"no complete answer within {self.timeout_s:g} s") from error
            raise
        finally:
            timer.cancel()
            self._active = None

    def take_reconnected(self) -> bool:
        """Whether a connection was lost unannounced and replaced since this was last asked."""
        happened, self._reconnected = self._reconnected, False
        return happened

    def close(self) -> None:
        self.pool.clear()

    def opening(self, connection: HTTPConnection) -> None:
        """A connection begins to open (called by the connections themselves)."""
        self._active = connection

    def opened(self, connection: HTTPConnection) -> None:
        """A connection is open; it may be too late."""
        if self._expired:
            connection.close()
            raise TimeoutError("connected after the deadline")
        self._reconnected |= self._had_connection and not self._close_announced
        self._had_connection = True

    def answered(self, *, will_close: bool) -> None:
        """A response's head arrived; `will_close`: the server says that it closes the connection after it."""
        self._close_announced = will_close

    def _cut(self) -> None:
        self._expired = True
        held = getattr(self._active, "sock", None)
        if held is None:
            return
        with suppress(OSError):  # closed in the meantime: nothing waits on it any more
            # Not held.shutdown(): on TLS that would pull the state from under the reading thread.
            socket.socket.shutdown(held, socket.SHUT_RDWR)

    def _make_pool(self, verify: bool, ca: Path | None, proxy: str) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "num_pools": 2,
            "maxsize": 1,
            "retries": False,
            "timeout": urllib3.Timeout(connect=self.timeout_s * CONNECT_SHARE, read=self.timeout_s),
            "cert_reqs": "CERT_REQUIRED" if verify else "CERT_NONE",
            "ca_certs": str(ca) if ca else None,
        }
        pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
        pool.pool_classes_by_scheme = {"http": _http_pool(self), "https": _https_pool(self)}
        return pool


def _http_pool(transport: Transport) -> type[HTTPConnectionPool]:
    class Connection(HTTPConnection):
        def connect(self) -> None:
            transport.opening(self)
            super().connect()
            transport.opened(self)

        def request(self, *args: Any, **kwargs: Any) -> None:
            transport.opening(self)
            super().request(*args, **kwargs)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            response = super().getresponse()
            transport.answered(will_close=_will_close(response))
            return response

    return type("WatchedPool", (HTTPConnectionPool,), {"ConnectionCls": Connection})


def _https_pool(transport: Transport) -> type[HTTPSConnectionPool]:
    class Connection(HTTPSConnection):
        def connect(self) -> None:
            transport.opening(self)
            super().connect()
            transport.opened(self)

        def request(self, *args: Any, **kwargs: Any) -> None:
            transport.opening(self)
            super().request(*args, **kwargs)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            response = super().getresponse()
            transport.answered(will_close=_will_close(response))
            return response

    return type("WatchedPool", (HTTPSConnectionPool,), {"ConnectionCls": Connection})


def _will_close(response: urllib3.HTTPResponse) -> bool:
    return response.version == 10 or response.headers.get("Connection", "").lower() == "close"
