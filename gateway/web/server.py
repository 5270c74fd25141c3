"""The page and the API inside the gateway's own event loop.

`create_app` composes; `serve` runs uvicorn without its signal handlers and without an access log. A stop
ends the live streams first, so that it never waits for a viewer.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Generator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gateway.web import schemas
from gateway.web.api import api_router
from gateway.web.context import Context
from gateway.web.languages import load_languages
from gateway.web.live import LiveHub
from gateway.web.pages import Pages, page_router
from gateway.web.probes import probe_router, product_version
from gateway.web.problems import Problem, problem_response
from gateway.web.security import SECURITY_HEADERS, SecurityHeaders
from gateway.web.store_access import StoreAccess

if TYPE_CHECKING:
    from gateway.web.sources import RunningGateway

STOP_AFTER_S = 2
"""How long open requests may take to end before they are cut."""
PROGRAM_PATHS = ("/api/", "/healthz", "/readyz", "/metrics", "/static/")


class Assets(StaticFiles):
    """Static files, cached for good: their address carries the digest of all of them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if b"v=" in scope.get("query_string", b"") and response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response


def create_app(gateway: RunningGateway) -> FastAPI:
    """The web application of a running gateway. Raises nothing of its own: it does not touch the network."""
    languages = load_languages()
    hub = LiveHub(gateway, languages)
    context = Context(gateway, StoreAccess(gateway), hub, languages)
    folder = Path(str(files("gateway.web")))
    pages = Pages(context, _templates(folder))
    app = FastAPI(
        title="HeyZack Gateway",
        version=product_version(),
        description="The building's live values, history, KPIs and alarms. Errors are RFC 9457 problems.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.hub = hub
    app.openapi = lambda: schemas.openapi(app)  # type: ignore[method-assign]
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=4)
    app.add_middleware(SecurityHeaders)
    _add_error_handlers(app, pages)
    app.include_router(probe_router(context))
    app.include_router(api_router(context))
    app.include_router(page_router(pages))
    app.mount("/static", Assets(directory=folder / "static"), name="static")
    return app


def _templates(folder: Path) -> Environment:
    templates = Environment(
        loader=FileSystemLoader(folder / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    digest = hashlib.sha256()
    for asset in sorted((folder / "static").rglob("*")):
        if asset.is_file():
            digest.update(asset.read_bytes())
    templates.globals["assets"] = digest.hexdigest()[:12]
    return templates


def _add_error_handlers(app: FastAPI, pages: Pages) -> None:
    def answer(request: Request, status: int, title: str, detail: str) -> Response:
        if request.method not in ("GET", "HEAD") or request.url.path.startswith(PROGRAM_PATHS):
            return problem_response(status, title, detail)
        site, voice = pages.start(request)
        text = voice.t("error.internal" if status >= 500 else "error.not_found")
        return pages.render(request, "error.html", site, voice, code=status, text=text)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return answer(request, error.status, error.title, error.detail)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        response = answer(request, error.status_code, "", "")
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def bad_parameter(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(request, 400, "Bad parameter", f"{where}: {first['msg']}")

    @app.exception_handler(Exception)
    async def internal(request: Request, error: Exception) -> Response:
        # Made outside of our middleware, and raised again afterwards: the server logs it.
        response = answer(request, 500, "", "The gateway's log says why.")
        response.headers.update(SECURITY_HEADERS)
        return response


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the gateway has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class WebHandle:
    """The running page. host, port: where it listens (the port is the real one when 0 was asked)."""

    def __init__(
        self, app: FastAPI, server: _Server, task: asyncio.Task[None], listener: socket.socket
    ) -> None:
        self._hub: LiveHub = app.state.hub
        self._server = server
        self._task = task
        address: tuple[Any, ...] = listener.getsockname()
        self.host, self.port = str(address[0]), int(address[1])

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    async def stop(self) -> None:
        """End the live streams, then the server; what is still open after two seconds is cut."""
        await self._hub.close()
        self._server.should_exit = True
        await self._task


async def serve(app: FastAPI, host: str, port: int) -> WebHandle:
    """Listen and serve in the running loop; returns once it accepts connections.

    Raises OSError when the address cannot be bound.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_AFTER_S,
        timeout_keep_alive=30,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="web-server")
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn tells by a flag only
        await asyncio.sleep(0.005)
    if task.done():
        listener.close()
        await task
    return WebHandle(app, server, task, listener)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


@contextlib.asynccontextmanager
async def serving(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[WebHandle]:
    """`serve` for a `with` block: stopped at its end."""
    handle = await serve(app, host, port)
    try:
        yield handle
    finally:
        await handle.stop()
