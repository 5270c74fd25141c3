"""Every way a server can fail us, as an outcome; over real sockets on loopback."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sync.influx import InfluxSink, InfluxTarget, compress, from_answer
from sync.sink import Accepted, Held, Outcome, Rejected, RetryAfter, TooLarge, Unreachable
from tests.servers.process import free_port

LINE = b"m,point=p value=1.0 1700000000000000000\n"
Handler = Callable[[socket.socket, bytes], None]


@contextmanager
def serving(handle: Handler, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A raw server: `handle` gets each request's bytes and answers as badly as it likes."""
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(client,), daemon=True).start()

    def talk(client: socket.socket) -> None:
        try:
            with context.wrap_socket(client, server_side=True) if context else client as peer:
                while (request := _request(peer)) and not ending.is_set():
                    handle(peer, request)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        ending.set()
        listener.close()


def _request(peer: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(rest) < length:
        rest += peer.recv(65536)
    return head + b"\r\n\r\n" + rest


def answering(status: str, body: bytes = b"", headers: str = "") -> Handler:
    def handle(peer: socket.socket, request: bytes) -> None:
        peer.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    return handle


def written(port: int, api: str = "v2", timeout_s: float = 5.0, **changes: object) -> Outcome:
    scheme = "https" if "ca" in changes or changes.pop("tls", False) else "http"
    target = InfluxTarget(
        f"{scheme}://127.0.0.1:{port}",
        api=api,
        org="o",
        bucket="b",
        database="d",
        timeout_s=timeout_s,
        **changes,
    )
    sink = InfluxSink(target)
    try:
        return sink.write(LINE, 1)
    finally:
        sink.close()


@pytest.mark.parametrize("api", ["v2", "v1"])
@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        ("204 No Content", "", Accepted),
        ("200 OK", "", Accepted),
        ("400 Bad Request", "", Rejected),
        ("422 Unprocessable Entity", "", Rejected),
        ("401 Unauthorized", "", Held),
        ("403 Forbidden", "", Held),
        ("404 Not Found", "", Held),
        ("301 Moved", "Location: http://127.0.0.1:1/elsewhere\r\n", Held),
        ("413 Too Large", "", TooLarge),
        ("429 Slow Down", "Retry-After: 7\r\n", RetryAfter),
        ("500 Oh", "", RetryAfter),
        ("503 Busy", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", RetryAfter),
    ],
)
def test_a_status_is_an_outcome(api: str, status: str, headers: str, outcome: type) -> None:
    with serving(answering(status, headers=headers)) as port:
        assert isinstance(written(port, api), outcome)


def test_the_servers_words_are_kept_in_either_dialect() -> None:
    assert from_answer(400, '{"code":"invalid","message":"bad line"}', {}) == Rejected("HTTP 400: bad line")
    assert from_answer(404, '{"error":"database not found"}', {}) == Held("HTTP 404: database not found")
    assert from_answer(502, "<html>\nbad gateway", {}) == RetryAfter(
        None, "HTTP 502: <html> bad gateway", failed=True
    )
    assert from_answer(429, "", {"Retry-After": "2.5"}) == RetryAfter(2.5, "HTTP 429: ")


def test_nothing_listening_is_refused_in_words() -> None:
    assert written(free_port()) == Unreachable("refused: nothing listens at the server's address")


def test_a_name_that_does_not_resolve_is_dns() -> None:
    sink = InfluxSink(InfluxTarget("http://no-such-host.invalid:8086", timeout_s=5))
    outcome = sink.write(LINE, 1)
    assert isinstance(outcome, Unreachable)
    assert outcome.reason.startswith("dns")


def test_a_server_that_hangs_up_is_connection_lost() -> None:
    with serving(lambda peer, request: peer.close()) as port:
        assert written(port) == Unreachable("connection lost")


@pytest.mark.parametrize("api", ["v2", "v1"])
def test_an_answer_at_a_byte_a_second_meets_the_total_deadline(api: str) -> None:
    def drip(peer: socket.socket, request: bytes) -> None:
        for byte in b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-Slow: " + b"x" * 100:
            peer.sendall(bytes([byte]))
            time.sleep(0.1)

    with serving(drip) as port:
        begun = time.monotonic()
        outcome = written(port, api, timeout_s=0.5)
        assert time.monotonic() - begun < 1.5
    assert isinstance(outcome, Unreachable)
    assert outcome.reason.startswith("timeout")


def test_after_a_deadline_the_sink_works_again() -> None:
    slow = threading.Event()
    slow.set()

    def handle(peer: socket.socket, request: bytes) -> None:
        if slow.is_set():
            time.sleep(0.6)
        answering("204 No Content")(peer, request)

    with serving(handle) as port:
        sink = InfluxSink(InfluxTarget(f"http://127.0.0.1:{port}", timeout_s=0.3))
        assert isinstance(sink.write(LINE, 1), Unreachable)
        slow.clear()
        assert isinstance(sink.write(LINE, 1), Accepted)
        sink.close()


def test_a_connection_dropped_between_requests_is_told() -> None:
    drop = threading.Event()

    def handle(peer: socket.socket, request: bytes) -> None:
        answering("204 No Content")(peer, request)
        if drop.is_set():
            peer.shutdown(socket.SHUT_RDWR)

    with serving(handle) as port:
        sink = InfluxSink(InfluxTarget(f"http://127.0.0.1:{port}", timeout_s=5))
        assert [sink.write(LINE, 1) for _ in range(3)] == [Accepted()] * 3
        drop.set()
        assert sink.write(LINE, 1) == Accepted()
        time.sleep(0.1)
        assert sink.write(LINE, 1) == Accepted(reconnected=True)
        sink.close()


def test_a_connection_whose_end_was_announced_is_no_loss() -> None:
    def handle(peer: socket.socket, request: bytes) -> None:
        answering("204 No Content", headers="Connection: close\r\n")(peer, request)
        peer.shutdown(socket.SHUT_RDWR)

    with serving(handle) as port:
        sink = InfluxSink(InfluxTarget(f"http://127.0.0.1:{port}", timeout_s=5))
        assert [sink.write(LINE, 1) for _ in range(3)] == [Accepted()] * 3
        sink.close()


def test_the_body_is_gzip_level_one_and_the_token_a_header() -> None:
    seen: list[bytes] = []

    def handle(peer: socket.socket, request: bytes) -> None:
        seen.append(request)
        answering("204 No Content")(peer, request)

    with serving(handle) as port:
        written(port, token="s3cret")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v2/write?org=o&bucket=b&precision=ns HTTP/1.1\r\n")
    assert b"Content-Encoding: gzip" in head
    assert b"Authorization: Token s3cret" in head
    assert zlib.decompress(body, 31) == LINE
    assert body == compress(LINE)


def test_secrets_reach_neither_words_nor_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(answering("401 Unauthorized", b'{"message":"unauthorized"}')) as port:
        outcomes = [written(port, token="s3cret"), written(port, "v1", username="u", password="s3cret")]
    outcomes.append(written(free_port(), token="s3cret"))
    target = InfluxTarget("http://x", token="s3cret", password="s3cret")
    assert "s3cret" not in f"{outcomes} {target!r} {caplog.text}"


def certificate(folder: Path, *, days: int) -> tuple[ssl.SSLContext, Path]:
    """A self-signed certificate for 127.0.0.1; a negative number of days makes one that has expired."""
    key, request, cert = (str(folder / name) for name in ("key.pem", "request.pem", "cert.pem"))
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    signed = ["-signkey", key, "-days", str(days), "-copy_extensions", "copy"]
    for command in (
        ["req", *kind, *name, "-keyout", key, "-out", request],
        ["x509", "-req", "-in", request, *signed, "-out", cert],
    ):
        subprocess.run(["openssl", *command], capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, Path(cert)


def test_a_certificate_from_the_configured_authority_is_trusted(tmp_path: Path) -> None:
    context, cert = certificate(tmp_path, days=2)
    with serving(answering("204 No Content"), context) as port:
        assert written(port, ca=cert) == Accepted()


@pytest.mark.parametrize("api", ["v2", "v1"])
def test_an_unknown_certificate_is_refused_in_words(tmp_path: Path, api: str) -> None:
    context, _ = certificate(tmp_path, days=2)
    with serving(answering("204 No Content"), context) as port:
        outcome = written(port, api, tls=True)
    assert isinstance(outcome, Unreachable)
    assert outcome.reason.startswith("certificate refused: self-signed")


def test_an_expired_certificate_is_refused_in_words(tmp_path: Path) -> None:
    context, cert = certificate(tmp_path, days=-1)
    with serving(answering("204 No Content"), context) as port:
        assert written(port, ca=cert) == Unreachable("certificate refused: certificate has expired")


def test_a_dripping_answer_over_tls_meets_the_total_deadline(tmp_path: Path) -> None:
    context, cert = certificate(tmp_path, days=2)

    def drip(peer: socket.socket, request: bytes) -> None:
        for byte in b"HTTP/1.1 204 No Content\r\n" + b"X" * 100:
            peer.sendall(bytes([byte]))
            time.sleep(0.1)

    with serving(drip, context) as port:
        outcome = written(port, ca=cert, timeout_s=0.5)
    assert isinstance(outcome, Unreachable)
    assert outcome.reason.startswith("timeout")
