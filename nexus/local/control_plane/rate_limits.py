"""Rates of requests: ASGI middleware that counts each one and turns away those that come too fast."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus.local.limits.quotas import Quotas

_CREATES = frozenset({"/sandboxes", "/v2/sandboxes"})
# Not E2B's API.
_EXEMPT = ("/health", "/nexus/")


class RateLimits:
    """As on E2B, every answer to a limited request tells what is left."""

    def __init__(self, app: ASGIApp, quotas: Quotas) -> None:
        self._app = app
        self._quotas = quotas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_EXEMPT):
            await self._app(scope, receive, send)
            return
        allowance = self._quotas.request(creates=scope["method"] == "POST" and scope["path"] in _CREATES)
        if allowance is None:
            await self._app(scope, receive, send)
        elif allowance.granted:
            await self._app(scope, receive, _telling(send, allowance.headers()))
        else:
            body = {"code": 429, "message": f"Rate limit exceeded, retry in {allowance.wait} s"}
            await JSONResponse(body, status_code=429, headers=allowance.headers())(scope, receive, send)


def _telling(send: Send, headers: dict[str, str]) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return telling
