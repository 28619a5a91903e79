"""Errors as E2B's API words them: ``{code, message}``, sometimes with ``error_code``."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus.local.errors import EndlessBodyError, EngineError

_log = logging.getLogger(__name__)


def error_body(error: EngineError) -> dict[str, object]:
    body: dict[str, object] = {"code": error.status, "message": error.message}
    if error.error_code is not None:
        body["error_code"] = error.error_code
    return body


def error_response(error: EngineError) -> Response:
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        # The SDK retries what is marked so, whatever the status.
        headers = {"Should-Retry": "true", "Retry-After": str(error.retry_after)}
    if isinstance(error, EndlessBodyError):
        headers["Connection"] = "close"
    return JSONResponse(error_body(error), status_code=error.status, headers=headers)


async def on_engine_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, EngineError)
    return error_response(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Unknown routes and methods."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = error.detail if isinstance(error, HTTPException) else "Internal server error"
    headers = {"Allow": ", ".join(_methods_of(request))} if status == 405 else None
    return JSONResponse({"code": status, "message": message}, status_code=status, headers=headers)


def _methods_of(request: Request) -> list[str]:
    """What the path can be asked with; Starlette itself only knows the first of several routes."""
    path = request.scope["path"]
    routes = [route for route in request.scope["router"].routes if isinstance(route, Route)]
    # The first that matches is the most particular: ``/templates/tags`` before ``/templates/{template}``.
    shape = next((route.path for route in routes if route.path_regex.match(path)), None)
    return sorted({method for route in routes if route.path == shape for method in route.methods or ()})


class BugReporter:
    """ASGI middleware. What no handler knows is a fault of the engine: told in full in its log, in short to the client.

    Starlette's own handler for this raises the error on to the server, which would log it a second time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        # Without an application in the scope, routes answer 404 and 405 in plain text instead of raising them.
        scope["app"] = self
        try:
            await self._app(scope, receive, watching)
        except Exception as error:
            _log.exception("%s %s failed", scope.get("method"), scope.get("path"))
            if started:
                raise
            message = f"Internal error of the local engine ({type(error).__name__}: {error}); see its log"
            await JSONResponse({"code": 500, "message": message}, status_code=500)(scope, receive, send)
