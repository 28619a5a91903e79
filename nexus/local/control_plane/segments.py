"""Paths by segment: an id or name that holds an encoded slash is one segment, as the client wrote it."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_SLASH = "%2F"


class Segments:
    """ASGI middleware. Servers decode a path as a whole, after which ``team%2Fname`` looks like two segments.

    Here each segment is decoded by itself and its slashes stay encoded; :func:`decoded` gives them back.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes | None = scope.get("raw_path")
        if scope["type"] == "http" and raw:
            parts = raw.partition(b"?")[0].decode("latin-1").split("/")
            scope = {**scope, "path": "/".join(unquote(part).replace("/", _SLASH) for part in parts)}
        await self._app(scope, receive, send)


def decoded(segment: str) -> str:
    """What a path parameter stands for."""
    return segment.replace(_SLASH, "/")
