"""A cloud to send to: an InfluxDB-v2-compatible receiver that counts, keeps and gives back what it got.

It speaks enough of both APIs for the gateway, for influxdb-client and for curl: `/api/v2/write`, `/write`,
`/query` (simulators.influxql), `/ping`, `/health`, `/metrics` and, its own, `/stats`. A write is on disk
before its 204. It is a stand-in for demos and tests, not a database.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from simulators.cloud_store import PointStore, Table
from simulators.influxql import QueryError, parse
from simulators.line_protocol import SCALE, Field, Line, split
from simulators.serving import QuietServer, listen

VERSION = "2.7.0-heyzack"
GZIP_WBITS = 31
MAX_BODY = 64 << 20
"""A decompressed body over this is answered 413."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CloudFault:
    """What writes meet while it is set on a Receiver.

    status: the answer instead of the usual one; None to answer as usual. delay_s: how long before any answer.
    retry_after: the header's value, or empty. stored: whether the points are kept all the same.
    bytes_per_s: the answer's body comes that slowly; 0 at once. refuse_share: that share of the lines, evenly
    spread, is refused as a partial write, 0-1.
    """

    status: int | None = None
    delay_s: float = 0.0
    retry_after: str = ""
    stored: bool = False
    bytes_per_s: float = 0.0
    refuse_share: float = 0.0


class Receiver:
    """Serves on `host`:`port` and keeps its points in `folder`; port 0 takes a free one, see `url`.

    token: required of writers and readers as `Token ...`, `Bearer ...` or the password of HTTP Basic; None
    lets everybody in. fault: set it to make writes fail, None to be well again.
    """

    def __init__(self, host: str, port: int, folder: Path, token: str | None = None) -> None:
        self.host = host
        self.port = port
        self.fault: CloudFault | None = None
        self._folder = folder
        self._token = token
        self._started_at = time.time()
        self._store: PointStore | None = None
        self._server: QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Open the store and listen; raises OSError when the port is taken."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cloud")
        self._store = await self._run(partial(PointStore, self._folder / "cloud.db"))
        config = uvicorn.Config(
            self._application(), lifespan="off", log_config=None, access_log=False, timeout_keep_alive=120
        )
        listener = await asyncio.to_thread(listen, self.host, self.port)
        self.port = listener.getsockname()[1]
        self._server = QuietServer(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not (self._server.started or self._serving.done()):  # noqa: ASYNC110  (it has no event)
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Answer what is under way, then close."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        if self._store is not None:
            await self._run(self._store.close)
            self._store = None
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    async def stats(self) -> dict[str, object]:
        """What `/stats` answers, for callers in the same process."""
        return await self._run(self._open_store.stats)

    @property
    def _open_store(self) -> PointStore:
        if self._store is None:
            raise RuntimeError("the receiver is not started")
        return self._store

    async def _run(self, call: Callable[[], T]) -> T:
        """Everything that touches the store runs in its one thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/v2/write", self._write, methods=["POST"]),
                Route("/write", self._write, methods=["POST"]),
                Route("/query", self._query, methods=["GET", "POST"]),
                Route("/ping", self._ping, methods=["GET", "HEAD"]),
                Route("/health", self._health),
                Route("/metrics", self._metrics),
                Route("/stats", self._stats),
            ]
        )

    async def _write(self, request: Request) -> Response:
        fault = self.fault
        body = await request.body()
        if fault is not None and fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if (denied := self._denied(request)) is not None:
            return denied
        if fault is not None and fault.status is not None and not fault.stored:
            return _failed(fault)
        precision = request.query_params.get("precision", "ns")
        if precision not in SCALE:
            return _error(400, "invalid", f"invalid precision: {precision}")
        gzipped = request.headers.get("content-encoding", "") == "gzip"
        refused = fault.refuse_share if fault is not None else 0.0
        answer = await self._run(partial(self._keep, body, gzipped, SCALE[precision], refused))
        if fault is None:
            return answer
        answer = _failed(fault) if fault.status is not None else answer
        return _dripping(answer, fault.bytes_per_s) if fault.bytes_per_s else answer

    def _keep(self, body: bytes, gzipped: bool, scale: int, refuse_share: float = 0.0) -> Response:
        """Parse and commit in the store's thread; good lines are kept beside bad ones, as servers do."""
        try:
            if gzipped:
                unpacker = zlib.decompressobj(GZIP_WBITS)
                body = unpacker.decompress(body, MAX_BODY)
                if unpacker.unconsumed_tail:
                    return _error(413, "request too large", "the decompressed body is too large")
            lines, complaints = split(body, scale, time.time_ns())
            if refuse_share:
                lines, refused = _sift(lines, refuse_share)
                complaints += refused
            if lines:
                complaints += self._open_store.write(lines)
        except zlib.error as error:
            return _error(400, "invalid", f"unable to decode gzip body: {error}")
        if complaints:
            return _error(400, "invalid", "partial write: " + "\n".join(complaints[:20]))
        return Response(status_code=204, headers={"X-Influxdb-Version": VERSION})

    async def _query(self, request: Request) -> Response:
        if (denied := self._denied(request)) is not None:
            return denied
        text = request.query_params.get("q", "")
        epoch = request.query_params.get("epoch", "")
        try:
            tables = await self._run(partial(self._answer, text))
        except QueryError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        result: dict[str, Any] = {"statement_id": 0}
        if tables:
            result["series"] = [_shown(table, epoch) for table in tables]
        return JSONResponse({"results": [result]})

    def _answer(self, text: str) -> list[Table]:
        if text.strip().rstrip(";").lower() == "show measurements":
            names: list[list[Field | None]] = [[name] for name in self._open_store.measurements()]
            return [Table("measurements", {}, ("name",), names)] if names else []
        return self._open_store.select(parse(text))

    async def _ping(self, request: Request) -> Response:
        return Response(status_code=204, headers={"X-Influxdb-Version": VERSION, "X-Influxdb-Build": "OSS"})

    async def _health(self, request: Request) -> Response:
        return JSONResponse(
            {
                "name": "influxdb",
                "message": "ready for queries and writes",
                "status": "pass",
                "checks": [],
                "version": VERSION,
                "commit": "simulated",
            }
        )

    async def _metrics(self, request: Request) -> Response:
        return PlainTextResponse(f"process_start_time_seconds {self._started_at:.3f}\n")

    async def _stats(self, request: Request) -> Response:
        return JSONResponse(await self.stats())

    def _denied(self, request: Request) -> Response | None:
        if self._token is None:
            return None
        given = _credential(request.headers.get("authorization", ""))
        if given and hmac.compare_digest(given.encode(), self._token.encode()):
            return None
        return _error(401, "unauthorized", "unauthorized access")


def _credential(header: str) -> str:
    """The secret in an Authorization header, whichever of the three ways it is written."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() in ("token", "bearer"):
        return rest
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest).decode().partition(":")[2]
        except ValueError:
            return ""
    return ""


def _sift(lines: list[Line], refuse_share: float) -> tuple[list[Line], list[str]]:
    """The lines that are taken, and the complaints about those that are not."""
    kept, refused = [], []
    for number, line in enumerate(lines, 1):
        if int(number * refuse_share) > int((number - 1) * refuse_share):
            shown = b" ".join((line.key, line.fields, str(line.time).encode())).decode(errors="replace")
            refused.append(f"unable to parse '{shown}': a fault was asked for")
        else:
            kept.append(line)
    return kept, refused


def _dripping(answer: Response, bytes_per_s: float) -> Response:
    """The same answer, its body byte by byte; one without a body gets one, else nothing could be slow."""
    body = bytes(answer.body) or b"{}" * 30

    async def drip() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])
            await asyncio.sleep(1.0 / bytes_per_s)

    return StreamingResponse(drip(), 200 if answer.status_code == 204 else answer.status_code)


def _failed(fault: CloudFault) -> Response:
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    return _error(fault.status or 500, "fault", "a fault was asked for", headers)


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"code": code, "message": message}, status_code=status, headers=dict(headers or {}))


def _shown(table: Table, epoch: str) -> dict[str, Any]:
    """A table as the v1 API shows it: times in the epoch asked for, else RFC 3339."""
    values: list[list[Any]] = [list(row) for row in table.values]
    if table.columns[0] == "time":
        for row in values:
            row[0] = row[0] // SCALE[epoch] if epoch in SCALE else _rfc3339(int(row[0]))
    shown: dict[str, Any] = {"name": table.name, "columns": list(table.columns), "values": values}
    if table.tags:
        shown["tags"] = table.tags
    return shown


def _rfc3339(ns: int) -> str:
    seconds, rest = divmod(ns, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"
