"""Modbus over TLS: both sides prove who they are, and a refusal says whose certificate is wrong."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from drivers.base import Device, Fault, FaultCode, LinkError, PollGroup, PollResult
from drivers.modbus import tcp
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, TcpLinkSettings
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer
from tests.drivers.modbus.simulated_meter import discard, points_of, settings
from tests.servers.process import free_port

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
PLACES = {f"r{n}": settings(register=n) for n in range(120)}


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> None:
    files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
    usage = ("-addext", "keyUsage=critical,keyCertSign")
    openssl(folder, "req", "-x509", *KEY, "-days", "2", *files, "-subj", f"/CN={name}", *usage)


def certificate(folder: Path, name: str, signer: str, san: str = "IP:127.0.0.1", days: int = 2) -> None:
    (folder / "ext").write_text(f"subjectAltName={san}\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl(folder, "req", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    signing = ("-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-CAcreateserial", "-days", str(days))
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signing, "-extfile", "ext", "-out", f"{name}.pem")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    for name in ("ours", "other"):
        authority(folder, name)
    certificate(folder, "device", "ours")
    certificate(folder, "named", "ours", san="DNS:plc-3.example")
    certificate(folder, "expired", "ours", days=-1)
    certificate(folder, "gateway", "ours")
    certificate(folder, "stranger", "other")
    certificate(folder, "late", "ours", days=-1)
    return folder


@pytest.fixture
async def serve(pki: Path) -> AsyncIterator[Callable[[str], Awaitable[ModbusServer]]]:
    """serve(certificate): a device that shows it and wants one of our authority."""
    servers: list[ModbusServer] = []

    async def start(name: str) -> ModbusServer:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ours.pem"))
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
        context.verify_mode = ssl.CERT_REQUIRED
        points = [
            ServedPoint(name, place, lambda _, n=n: n) for n, (name, place) in enumerate(PLACES.items())
        ]  # type: ignore[misc]
        servers.append(ModbusServer("127.0.0.1", 0, {1: points}, time.time_ns, tls=context))
        await servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()


async def polled(server: ModbusServer, pki: Path, **tls: str) -> PollResult:
    return await polled_at(server.port, pki, **tls)


async def polled_at(port: int, pki: Path, **tls: str) -> PollResult:
    files = {key: value if key == "server_name" else str(pki / value) for key, value in tls.items()}
    link = TcpLinkSettings.model_validate({"host": "127.0.0.1", "port": port, "tls": files})
    driver = ModbusDriver(link, time.time_ns)
    group = PollGroup("meter", 1.0, points_of(PLACES))
    await driver.open(discard)
    try:
        await driver.assign([Device("meter", DeviceSettings(), (group,))])
        await driver.poll(group)
        return await driver.poll(group)
    finally:
        await driver.close()


MUTUAL = {"ca": "ours.pem", "cert": "gateway.pem", "key": "gateway.key"}
Serve = Callable[[str], Awaitable[ModbusServer]]


async def test_both_sides_prove_who_they_are(serve: Serve, pki: Path) -> None:
    result = await polled(await serve("device"), pki, **MUTUAL)
    assert result.fault is None
    assert result.batch.value.tolist() == list(range(120))


async def test_pymodbus_own_client_does_the_same_where_ours_steps_aside(
    serve: Serve, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp.pymodbus, "__version__", "9.9.9")
    result = await polled(await serve("device"), pki, **MUTUAL)
    assert result.batch.value.tolist() == list(range(120))


async def test_a_device_reached_by_another_name_is_known_by_that_in_its_certificate(
    serve: Serve, pki: Path
) -> None:
    server = await serve("named")
    assert (await polled(server, pki, **MUTUAL, server_name="plc-3.example")).fault is None
    fault = await fault_of(server, pki, **MUTUAL)
    assert fault.code is FaultCode.CERTIFICATE
    assert "IP address mismatch" in fault.detail


@pytest.mark.parametrize(
    ("shown", "ca", "words"),
    [("expired", "ours.pem", "certificate has expired"), ("device", "other.pem", "self-signed certificate")],
)
async def test_a_device_that_is_not_trusted_is_told_in_words(
    serve: Serve, pki: Path, shown: str, ca: str, words: str
) -> None:
    fault = await fault_of(await serve(shown), pki, **MUTUAL | {"ca": ca})
    assert fault.code is FaultCode.CERTIFICATE
    assert re.search(rf"the certificate of 127\.0\.0\.1:\d+ is not trusted: {words}", fault.detail)


@pytest.mark.parametrize(
    ("ours", "words"),
    [("", "certificate required"), ("stranger", "unknown ca"), ("late", "certificate expired")],
)
@pytest.mark.parametrize("says_why", [True, False], ids=["alert", "hangs up"])
async def test_a_device_that_does_not_trust_us_is_told_in_words(
    serve: Serve, pki: Path, ours: str, words: str, says_why: bool
) -> None:
    """OpenSSL's own server sends the reason; asyncio's, on which others are built, only hangs up."""
    files = {"ca": "ours.pem"} | ({"cert": f"{ours}.pem", "key": f"{ours}.key"} if ours else {})
    if not says_why:
        fault = await fault_of(await serve("device"), pki, **files)
        words = "it may not accept our certificate"
    else:
        with openssl_server(pki) as port:
            fault = await fault_at(port, pki, **files)
        words = f"does not accept our certificate: .*{words}"
    assert fault.code is FaultCode.CERTIFICATE
    assert re.search(words, fault.detail), fault.detail


@contextmanager
def openssl_server(pki: Path) -> Iterator[int]:
    port = free_port()
    shown = ("-accept", f"127.0.0.1:{port}", "-cert", "device.pem", "-key", "device.key", "-quiet")
    asked = ("-CAfile", "ours.pem", "-Verify", "1", "-verify_return_error")
    process = subprocess.Popen(
        ["openssl", "s_server", *shown, *asked], cwd=pki, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


async def test_a_device_that_speaks_plain_modbus_is_no_certificate_problem(pki: Path) -> None:
    server = ModbusServer("127.0.0.1", 0, {}, time.time_ns)
    await server.start()
    fault = await fault_of(server, pki, **MUTUAL)
    await server.stop()
    assert fault.code is FaultCode.NO_ANSWER


async def test_a_missing_file_is_a_link_that_cannot_work(serve: Serve, pki: Path) -> None:
    with pytest.raises(LinkError, match=r"nothing\.pem: there is no such file"):
        await polled(await serve("device"), pki, ca="nothing.pem")


async def test_a_key_that_is_not_the_certificates_is_a_link_that_cannot_work(serve: Serve, pki: Path) -> None:
    with pytest.raises(LinkError, match=r"gateway\.pem cannot be used"):
        await polled(await serve("device"), pki, ca="ours.pem", cert="gateway.pem", key="stranger.key")


async def fault_of(server: ModbusServer, pki: Path, **tls: str) -> Fault:
    return await fault_at(server.port, pki, **tls)


async def fault_at(port: int, pki: Path, **tls: str) -> Fault:
    result = await polled_at(port, pki, **tls)
    assert result.fault is not None
    return result.fault
