"""Who may talk to whom: certificates are verified, refusals are told as what they are."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Delivery, FaultCode, LinkError
from drivers.mqtt.driver import MqttDriver, create
from drivers.mqtt.settings import LinkSettings

MakeBroker = Callable[[str], Any]

pytestmark = pytest.mark.servers


LEAKY = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""paho leaves the socket of a refused handshake to the garbage collector, which warns."""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_authority(folder: Path, name: str) -> None:
    files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
    usage = ("-addext", "keyUsage=critical,keyCertSign")
    openssl(folder, "req", "-x509", *KEY, "-days", "2", *files, "-subj", f"/CN={name}", *usage)


def make_certificate(folder: Path, name: str, authority: str) -> None:
    """A certificate for 127.0.0.1, good for a server and a client."""
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl(folder, "req", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    signer = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", "2")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signer, "-extfile", "ext", "-out", f"{name}.pem")


@pytest.fixture
def tls_broker(tmp_path: Path, make_mosquitto: MakeBroker) -> Any:
    """A broker that shows a certificate of our authority and wants one."""
    make_authority(tmp_path, "ca")
    make_certificate(tmp_path, "server", "ca")
    make_certificate(tmp_path, "client", "ca")
    return make_mosquitto(
        f"allow_anonymous true\ncafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\n"
        f"keyfile {tmp_path}/server.key\nrequire_certificate true"
    )


@asynccontextmanager
async def opened(port: int, **settings: Any) -> AsyncIterator[MqttDriver]:
    async def ignore(delivery: Delivery) -> None: ...

    link = LinkSettings.model_validate({"host": "127.0.0.1", "port": port, **settings})
    driver = create("broker", link, time.time_ns)
    await driver.open(ignore)
    try:
        yield driver
    finally:
        await driver.close()


async def fault_code(driver: MqttDriver) -> FaultCode | None:
    """The link's state once it is known: None when connected."""
    deadline = time.monotonic() + 5
    while driver._fault is not None and driver._fault.detail == "not connected yet":
        assert time.monotonic() < deadline, "nothing happened"
        await asyncio.sleep(0.02)
    return driver._fault and driver._fault.code


def tls(folder: Path, **files: str) -> dict[str, str]:
    return {key: str(folder / name) for key, name in files.items()}


async def test_mutual_tls_connects(tls_broker: Any, tmp_path: Path) -> None:
    files = tls(tmp_path, ca="ca.pem", cert="client.pem", key="client.key")
    async with opened(tls_broker.port, tls=files) as driver:
        assert await fault_code(driver) is None


@LEAKY
async def test_broker_of_an_unknown_authority_is_refused(tls_broker: Any, tmp_path: Path) -> None:
    make_authority(tmp_path, "stranger")
    files = tls(tmp_path, ca="stranger.pem", cert="client.pem", key="client.key")
    async with opened(tls_broker.port, tls=files) as driver:
        assert await fault_code(driver) is FaultCode.CERTIFICATE


@LEAKY
async def test_broker_under_another_name_is_refused(tls_broker: Any, tmp_path: Path) -> None:
    files = tls(tmp_path, ca="ca.pem", cert="client.pem", key="client.key")
    async with opened(tls_broker.port, host="localhost", tls=files) as driver:
        assert await fault_code(driver) is FaultCode.CERTIFICATE


async def test_certificate_that_cannot_be_read_is_a_link_error(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="ca, cert or key"):
        async with opened(1, tls=tls(tmp_path, ca="missing.pem")):
            pass


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_wrong_password_is_denied(make_mosquitto: MakeBroker, tmp_path: Path, version: str) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "gw", "right"], check=True, capture_output=True)
    broker = make_mosquitto(f"allow_anonymous false\npassword_file {passwords}")
    async with opened(broker.port, username="gw", password="wrong", version=version) as driver:
        assert await fault_code(driver) is FaultCode.DENIED
    async with opened(broker.port, username="gw", password="right", version=version) as driver:
        assert await fault_code(driver) is None
