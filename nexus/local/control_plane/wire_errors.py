"""Errors as E2B's API words them: ``{code, message}``, sometimes with ``error_code``."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nexus.local.errors import EngineError

_log = logging.getLogger(__name__)


def error_response(error: EngineError) -> Response:
    body: dict[str, object] = {"code": error.status, "message": error.message}
    headers: dict[str, str] = {}
    if error.error_code is not None:
        body["error_code"] = error.error_code
    if error.retry_after is not None:
        # The SDK retries what is marked so, whatever the status.
        headers = {"Should-Retry": "true", "Retry-After": str(error.retry_after)}
    return JSONResponse(body, status_code=error.status, headers=headers)


async def on_engine_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, EngineError)
    return error_response(error)


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Unknown routes and methods."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = error.detail if isinstance(error, HTTPException) else "Internal server error"
    return JSONResponse({"code": status, "message": message}, status_code=status)


async def on_bug(request: Request, error: Exception) -> Response:
    """Anything else is a fault of the engine: told in full in its log, and in general terms to the client."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = f"Internal error of the local engine ({type(error).__name__}); see its log"
    # A retry would meet the same fault, and a create must not be repeated blindly.
    return JSONResponse({"code": 500, "message": message}, status_code=500)
