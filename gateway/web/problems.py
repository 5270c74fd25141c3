"""Errors as data (RFC 9457, application/problem+json) for programs, as a page for people."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from fastapi import Response


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """An answer that is an error. title: what is wrong; detail: what to do about it."""

    def __init__(self, status: int, title: str, detail: str = "") -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail


PROBLEM_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "properties": {
        "type": {"type": "string", "default": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["title", "status"],
}


def problem_response(status: int, title: str = "", detail: str = "") -> Response:
    """A problem+json answer; the title defaults to the status' own phrase."""
    body = {"type": "about:blank", "title": title or HTTPStatus(status).phrase, "status": status}
    if detail:
        body["detail"] = detail
    return Response(orjson.dumps(body), status, media_type="application/problem+json")
