"""InfluxDB as a sink: the v2 API through influxdb-client, the v1 `/write` of 1.x on the same transport.

Bodies are our own encoded bytes, compressed here at gzip level 1 (influxdb-client would take level 9). Of the
library only the synchronous write is used: its batching drops data. Credentials travel in headers only and
appear in no outcome, repr or log.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import urllib3
from influxdb_client import InfluxDBClient, WriteService
from influxdb_client.rest import ApiException

from sync.sink import Accepted, Held, Outcome, Pong, Rejected, RetryAfter, TooLarge, Unreachable
from sync.transport import DeadlineError, Transport

GZIP_LEVEL = 1
GZIP_WBITS = 31
REASON_LENGTH = 300
START_TICK_S = 2.0
_PROCESS_START = re.compile(rb"^process_start_time_seconds(?:\{[^}]*\})? (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class InfluxTarget:
    """One server and the place in it. api: 'v2' (org, bucket, token) or 'v1' (database, username, password).

    A v2 server that wants HTTP Basic (VictoriaMetrics) gets it when `username` is set. proxy: URL of an HTTP
    proxy, or empty. timeout_s: total for one request [s].
    """

    url: str
    api: Literal["v2", "v1"] = "v2"
    org: str = ""
    bucket: str = ""
    database: str = ""
    username: str = ""
    token: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    verify_tls: bool = True
    ca: Path | None = None
    gzip: bool = True
    timeout_s: float = 20.0
    proxy: str = ""


class InfluxSink:
    """Implements `sync.sink.Sink` for one InfluxDB target; for one thread."""

    def __init__(self, target: InfluxTarget) -> None:
        self._target = target
        self._url = target.url.rstrip("/")
        self._transport = Transport(
            target.timeout_s, verify=target.verify_tls, ca=target.ca, proxy=target.proxy
        )
        self._headers = _authorization(target) | {"User-Agent": "heyzack-gateway"}
        self._write = self._write_v1 if target.api == "v1" else self._write_v2
        self._client = self._make_client()

    def write(self, body: bytes, lines: int) -> Outcome:
        """Write encoded lines within the total deadline; every failure is an outcome."""
        data = compress(body) if self._target.gzip else body
        self._transport.take_reconnected()
        try:
            with self._transport.deadline():
                outcome = self._write(data)
        except Exception as error:
            return Unreachable(in_words(error))
        if isinstance(outcome, Accepted):
            return Accepted(reconnected=self._transport.take_reconnected())
        return outcome

    def ping(self) -> Pong | Held | RetryAfter | Unreachable:
        """`/ping`, then the start time of the server's process from `/metrics` where it is open to us."""
        self._transport.take_reconnected()
        try:
            with self._transport.deadline():
                answer = self._get("/ping")
                if answer.status >= 300:
                    return _not_there(answer)
                boot = self._boot(answer.headers.get("X-Influxdb-Version", ""))
                return Pong(boot, self._transport.take_reconnected())
        except Exception as error:
            return Unreachable(in_words(error))

    def close(self) -> None:
        self._transport.close()

    def _write_v2(self, data: bytes) -> Outcome:
        options = {"content_encoding": "gzip"} if self._target.gzip else {}
        try:
            WriteService(self._client.api_client).post_write(
                self._target.org, self._target.bucket, data, precision="ns", **options
            )
        except ApiException as error:
            if not error.status:
                raise
            return from_answer(error.status, error.body or "", error.headers or {})
        return Accepted()

    def _write_v1(self, data: bytes) -> Outcome:
        query = urlencode({"db": self._target.database, "precision": "ns"})
        encoding = {"Content-Encoding": "gzip"} if self._target.gzip else {}
        answer = self._transport.pool.request(
            "POST",
            f"{self._url}/write?{query}",
            body=data,
            headers=self._headers | encoding,
            redirect=False,
        )
        return from_answer(answer.status, answer.data.decode(errors="replace"), answer.headers)

    def _boot(self, version: str) -> str:
        answer = self._get("/metrics")
        started = _PROCESS_START.search(answer.data) if answer.status == 200 else None
        if started is None or not _outlived_a_tick(float(started[1]), answer.headers.get("Date", "")):
            return ""
        return f"{version} {started[1].decode()}"

    def _get(self, path: str) -> urllib3.BaseHTTPResponse:
        return self._transport.pool.request("GET", self._url + path, headers=self._headers, redirect=False)

    def _make_client(self) -> InfluxDBClient:
        client = InfluxDBClient(self._url, token="", timeout=round(self._target.timeout_s * 1000))
        client.api_client.rest_client.pool_manager = self._transport.pool
        for name, value in self._headers.items():
            client.api_client.set_default_header(name, value)
        return client


def compress(body: bytes) -> bytes:
    """A gzip stream without a time stamp: the same lines make the same bytes."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WBITS)
    return packer.compress(body) + packer.flush()


def from_answer(status: int, body: str, headers: Mapping[str, str]) -> Outcome:
    """What an HTTP answer means for the lines that were sent."""
    reason = _reason(status, body, headers)
    if status < 300:
        return Accepted()
    if status in (400, 422):
        return Rejected(reason)
    if status == 413:
        return TooLarge(reason)
    if status in (408, 425, 429) or status >= 500:
        return RetryAfter(_seconds(headers.get("Retry-After")), reason, failed=status >= 500)
    return Held(reason)


def in_words(error: BaseException) -> str:
    """Why there was no answer, short and without addresses of objects or credentials."""
    chain = list(_chain(error))
    text = " ".join(str(link) for link in chain)
    if any(isinstance(link, DeadlineError) for link in chain):
        return f"timeout: {error}"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        found = re.search(r"certificate verify failed: ([^(\[]+)", text)
        return f"certificate refused: {found[1].strip() if found else 'not trusted'}"
    for kind, words in (
        (urllib3.exceptions.NameResolutionError, "dns: the server's name cannot be resolved"),
        (ConnectionRefusedError, "refused: nothing listens at the server's address"),
        # urllib3 derives this from its time-outs, so it comes before them.
        (urllib3.exceptions.NewConnectionError, _network_words(chain)),
        (urllib3.exceptions.TimeoutError, "timeout: no answer"),
        (urllib3.exceptions.SSLError, "tls: no secure connection"),
        (urllib3.exceptions.ProxyError, "proxy: cannot connect through it"),
        (urllib3.exceptions.ProtocolError, "connection lost"),
        (OSError, _network_words(chain)),
    ):
        if any(isinstance(link, kind) for link in chain):
            return words
    return f"no usable answer ({type(error).__name__})"


def _network_words(chain: list[BaseException]) -> str:
    return "network: " + (getattr(chain[-1], "strerror", None) or "no connection")


def _chain(error: BaseException | None) -> list[BaseException]:
    out: list[BaseException] = []
    while error is not None and error not in out:
        out.append(error)
        error = error.__cause__ or error.__context__
    return out


def _outlived_a_tick(started_s: float, date: str) -> bool:
    """Whether the server's start, told to the second, cannot be that of two runs in one second."""
    try:
        return parsedate_to_datetime(date).timestamp() - started_s >= START_TICK_S
    except ValueError:
        return False


def _not_there(answer: urllib3.BaseHTTPResponse) -> Held | RetryAfter:
    outcome = from_answer(answer.status, answer.data.decode(errors="replace"), answer.headers)
    if isinstance(outcome, Held | RetryAfter):
        return outcome
    return Held(f"the address does not answer a ping (HTTP {answer.status})")


def _reason(status: int, body: str, headers: Mapping[str, str]) -> str:
    text = body
    try:
        answer = json.loads(body)
        text = str(answer.get("message") or answer.get("error") or body)
    except (ValueError, AttributeError):
        text = headers.get("X-Influxdb-Error") or body
    return f"HTTP {status}: {' '.join(text.split())[:REASON_LENGTH]}"


def _seconds(retry_after: str | None) -> float | None:
    """The header as seconds; its form as a date is as good as none, for our clock may be wrong."""
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None


def _authorization(target: InfluxTarget) -> dict[str, str]:
    if target.username:
        return dict(urllib3.make_headers(basic_auth=f"{target.username}:{target.password}"))
    return {"Authorization": f"Token {target.token}"} if target.token else {}
