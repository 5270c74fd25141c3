"""What every answer carries, and who may change anything.

Until users exist, a write needs four things: a client on this machine, a Host header that names this
machine (against DNS rebinding), no proxy in between, and a header or content type that another site's
form cannot send.
"""

from __future__ import annotations

from ipaddress import ip_address
from types import MappingProxyType

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.problems import Problem

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class SecurityHeaders:
    """Adds the security headers to every answer, and `no-store` where nothing else was said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def is_loopback(host: str) -> bool:
    """Whether an address or host name is this machine itself."""
    host = host.removeprefix("[").removesuffix("]")
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def require_local_write(request: Request) -> None:
    """Refuse a write that does not come from this machine or could come from another site's page.

    Raises Problem 403. A FastAPI dependency of every write route.
    """
    client = request.client.host if request.client else ""
    if not is_loopback(client) or any(name in request.headers for name in _FORWARDED):
        raise Problem(403, "Not allowed from here", "Changes are accepted from this machine only.")
    if not is_loopback(request.url.hostname or ""):
        raise Problem(403, "Not allowed from here", "Use localhost or 127.0.0.1 as the host name.")
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if request.headers.get("x-heyzack") != "1" and content_type != "application/json":
        raise Problem(403, "Not allowed from here", "Send the header X-HeyZack: 1.")
