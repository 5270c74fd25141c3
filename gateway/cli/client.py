"""The running gateway's HTTP API, for verbs that ask it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

TIMEOUT_S = 10.0


class GatewayUnreachable(click.ClickException):
    """Nobody answers at the gateway's address."""

    exit_code = 1


def url_option(function: F) -> F:
    """`--url`: where the gateway is, when that is not what the configuration says."""
    return click.option(
        "--url",
        envvar="HEYZACK_URL",
        help="The gateway's address, else $HEYZACK_URL, else where the configuration says its page is.",
    )(function)


def base_url(url: str | None, config: Path) -> str:
    """The gateway's address: as given, else as configured, else the default."""
    if url:
        return url.rstrip("/")
    from gateway.config.build import read
    from gateway.config.errors import UnreadableError
    from gateway.site import WebSettings

    try:
        installation, _ = read(config)
    except UnreadableError:
        installation = None
    web = installation.web if installation else WebSettings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.host, web.host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{web.port}" if ":" in host else f"http://{host}:{web.port}"


def call(base: str, path: str, method: str = "GET") -> tuple[int, Any]:
    """HTTP status and decoded JSON body. Raises GatewayUnreachable."""
    if not base.startswith(("http://", "https://")):
        raise click.UsageError(
            f"'{base}' is no address; write it with its scheme, such as http://127.0.0.1:8080"
        )
    request = urllib.request.Request(f"{base}{path}", method=method)  # noqa: S310 - checked just above
    request.add_header("Accept", "application/json")
    request.add_header("X-HeyZack", "1")  # a web page cannot send it unasked: the API's guard against forgery
    token = os.environ.get("HEYZACK_TOKEN")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked above
            return int(answer.status), json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _body(error)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        remedy = "start it with `heyzack run`, or name its --url"
        raise GatewayUnreachable(f"the gateway does not answer at {base} ({reason}); {remedy}") from None


def _body(error: urllib.error.HTTPError) -> Any:
    try:
        return json.load(error)
    except ValueError:
        return {}
