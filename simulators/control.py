"""The simulators' control port: faults over HTTP, for scripts and for `heyzack simulate fault`.

    GET    /devices                 every device, its points, the faults it can have
    GET    /faults                  what is wrong now
    POST   /faults                  {"device": "main-meter", "kind": "drop", "for": "30s"} -> 201
    DELETE /faults, /faults/3, /faults?device=main-meter

It answers on loopback only, and only requests addressed to loopback: a web page cannot reach it by a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from drivers.modbus.settings import seconds
from simulators.faults import FaultBoard, FaultError, FaultKind, SimulatedFault
from simulators.serving import QuietServer, listen

CONTROL_PORT: Final = 18087
_DURATIONS: Final = {"for": "for_s", "for_s": "for_s", "seconds": "seconds"}
_NUMBERS: Final = ("share", "value")
_KEYS: Final = ("device", "kind", "for", "point", "share", "code", "seconds", "value")


class ControlServer:
    """Serves a board on `host`:`port`; port 0 takes a free one, see `url`."""

    def __init__(self, host: str, port: int, board: FaultBoard) -> None:
        self.host = host
        self.port = port
        self._board = board
        self._server: QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        listener = await asyncio.to_thread(listen, self.host, self.port)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(self._application(), lifespan="off", log_config=None, access_log=False)
        self._server = QuietServer(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not (self._server.started or self._serving.done()):  # noqa: ASYNC110  (it has no event)
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving

    def _application(self) -> Starlette:
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
        return Starlette(
            routes=[
                Route("/devices", self._devices),
                Route("/faults", self._list, methods=["GET"]),
                Route("/faults", self._set, methods=["POST"]),
                Route("/faults", self._clear, methods=["DELETE"]),
                Route("/faults/{id:int}", self._clear, methods=["DELETE"]),
            ],
            middleware=[hosts],
        )

    async def _devices(self, request: Request) -> JSONResponse:
        return JSONResponse(self._board.targets())

    async def _list(self, request: Request) -> JSONResponse:
        return JSONResponse([active.shown() for active in self._board.active()])

    async def _set(self, request: Request) -> JSONResponse:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "send application/json"}, 415)
        try:
            device, fault = parse_fault(orjson.loads(await request.body()))
            active = await self._board.set(device, fault)
        except ValueError as error:  # FaultError and malformed JSON are both
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(active.shown(), 201)

    async def _clear(self, request: Request) -> JSONResponse:
        number = request.path_params.get("id")
        cleared = await self._board.clear(request.query_params.get("device"), number)
        if number is not None and not cleared:
            return JSONResponse({"error": f"fault {number} is not on"}, 404)
        return JSONResponse({"cleared": cleared})


def parse_fault(wanted: Any) -> tuple[str, SimulatedFault]:
    """Device and fault of one JSON or YAML mapping. Raises FaultError."""
    if not isinstance(wanted, Mapping):
        raise FaultError(f"a fault is a mapping with {', '.join(_KEYS)}")
    keys: dict[str, Any] = {}
    for key, value in wanted.items():
        if key not in (*_KEYS, "for_s"):
            raise FaultError(f"key '{key}' is unknown; a fault has {', '.join(_KEYS)}")
        if value is None or key in ("device", "kind"):
            continue
        keys[_DURATIONS.get(str(key), str(key))] = _parsed(str(key), value)
    device = wanted.get("device")
    if not isinstance(device, str):
        raise FaultError("device is missing; see /devices")
    return device, SimulatedFault(kind=_kind(wanted.get("kind")), **keys)


def _kind(value: Any) -> FaultKind:
    try:
        return FaultKind(str(value).replace("_", "-"))
    except ValueError:
        raise FaultError(f"fault '{value}' is unknown; one of {', '.join(FaultKind)}") from None


def _parsed(key: str, value: Any) -> Any:
    try:
        if key in _DURATIONS:
            return float(seconds(value))  # type: ignore[arg-type]
        if key in _NUMBERS:
            return float(value)
        return int(value) if key == "code" else str(value)
    except (TypeError, ValueError) as error:
        raise FaultError(f"{key}: {error}") from None
