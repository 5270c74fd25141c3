"""A building's IP networks as network namespaces: two subnets and a router that forwards no broadcast.

    gateway 10.77.1.2 --- 10.77.1.1 router 10.77.2.1 --- bridge --- bbmd 10.77.2.2, controllers 10.77.2.3 ...

Every host is a namespace with its own port 47808. Sockets stay in the namespace in which they were made,
so one event loop runs them all: `with building.inside("gateway"): await driver.open(...)`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Building:
    """The namespaces, named `<prefix>-<host>`; all of them go with close()."""

    def __init__(self) -> None:
        self._prefix = f"hz{os.getpid()}"
        self._hosts: list[str] = []

    def open(self) -> None:
        self._namespace("router")
        self._ip("link", "add", "br0", "type", "bridge", host="router")
        self._ip("addr", "add", "10.77.2.1/24", "dev", "br0", host="router")
        self._ip("link", "set", "br0", "up", host="router")
        self._host("gateway", "10.77.1.2/24", "10.77.1.1", bridge=False)
        for name, last in (("bbmd", 2), ("ahu", 3), ("zone", 4), ("spare", 5)):
            self._host(name, f"10.77.2.{last}/24", "10.77.2.1", bridge=True)
        with self.inside("router"):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")

    def close(self) -> None:
        for host in self._hosts:
            subprocess.run(["ip", "netns", "del", f"{self._prefix}-{host}"], check=False)

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """This thread in a host's namespace: sockets made meanwhile belong to it for good."""
        with (
            Path("/proc/thread-self/ns/net").open("rb") as home,
            Path(f"/run/netns/{self._prefix}-{host}").open("rb") as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def _namespace(self, host: str) -> None:
        _run("ip", "netns", "add", f"{self._prefix}-{host}")
        self._hosts.append(host)
        self._ip("link", "set", "lo", "up", host=host)

    def _host(self, host: str, address: str, router: str, *, bridge: bool) -> None:
        self._namespace(host)
        far = f"to-{host}"
        self._ip("link", "add", "eth0", "type", "veth", "peer", "name", far, host=host)
        self._ip("link", "set", far, "netns", f"{self._prefix}-router", host=host)
        self._ip("addr", "add", address, "brd", "+", "dev", "eth0", host=host)
        self._ip("link", "set", "eth0", "up", host=host)
        self._ip("route", "add", "default", "via", router, host=host)
        if bridge:
            self._ip("link", "set", far, "master", "br0", host="router")
        else:
            self._ip("addr", "add", f"{router}/24", "dev", far, host="router")
        self._ip("link", "set", far, "up", host="router")

    def _ip(self, *words: str, host: str) -> None:
        _run("ip", "-n", f"{self._prefix}-{host}", *words)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


def _need(what: str, *, there: bool) -> None:
    """Go on when `there`; else fail in CI, where everything must run, and skip elsewhere, saying why."""
    if there:
        return
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{what}; CI must run this test", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    return _need


@pytest.fixture
def building() -> Iterator[Building]:
    _need("network namespaces need root: run as root to test broadcasts and BBMDs", there=os.geteuid() == 0)
    _need("Debian's iproute2 is needed", there=shutil.which("ip") is not None)
    made = Building()
    try:
        try:
            made.open()
        except (OSError, subprocess.CalledProcessError) as error:
            _need(f"this machine allows no network namespaces ({error})", there=False)
        yield made
    finally:
        made.close()
