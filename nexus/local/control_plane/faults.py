"""Failures on purpose in the control plane: ASGI middleware that carries out what the script says of each request."""

from __future__ import annotations

import asyncio
import json
import re

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from nexus.local.faults.endings import Ending, end_now, ending
from nexus.local.faults.model import Action, FaultRule, FaultScript, Surface

# The control itself, and what the daemon's own client needs, cannot be made to fail.
_EXEMPT = "/nexus/"
_ABORT = "nexus.abort"
_OF_SANDBOX = re.compile(r"/sandboxes/(i[a-z0-9]+)")


class Faults:
    """ASGI middleware. ``end`` ends sandboxes under their clients."""

    def __init__(self, app: ASGIApp, script: FaultScript, end: Ending) -> None:
        self._app = app
        self._script = script
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = self._matching(scope)
        if rule is None:
            await self._app(scope, receive, send)
            return
        match rule.action:
            case Action.STATUS:
                await asyncio.sleep(rule.seconds)
                response = JSONResponse(rule.body, status_code=rule.status, headers=dict(rule.headers))
                await response(scope, receive, send)
            case Action.DELAY:
                await asyncio.sleep(rule.seconds)
                await self._app(scope, receive, send)
            case Action.RESET:
                await asyncio.sleep(rule.seconds)
                await _close_connection(scope, receive)
            case Action.DROP:
                await self._app(scope, receive, _swallow)
                await asyncio.sleep(rule.seconds)
                await _close_connection(scope, receive)
            case Action.VANISH | Action.EXPIRE:
                await self._ending(rule, scope, receive, send)

    def _matching(self, scope: Scope) -> FaultRule | None:
        if scope["type"] != "http" or scope["path"].startswith(_EXEMPT):
            return None
        return self._script.strike(Surface.API, scope["method"], scope["path"])

    async def _ending(self, rule: FaultRule, scope: Scope, receive: Receive, send: Send) -> None:
        """End the sandbox that the path names, or else the one that the answer tells of."""
        if (named := _OF_SANDBOX.search(scope["path"])) is not None:
            async with ending(rule, named[1], self._end):
                await self._app(scope, receive, send)
            return
        answer = _Recorded(send)
        await self._app(scope, receive, answer)
        if (made := answer.sandbox_id()) is not None:
            await asyncio.sleep(rule.seconds)
            await end_now(rule, made, self._end)


class DroppableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which also lets the application close the connection without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        serve = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_ABORT] = transport.abort
            await serve(scope, receive, send)

        self.app = app


class _Recorded:
    """Passes an answer on and keeps a copy of its body."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self._body += message.get("body", b"")
        await self._send(message)

    def sandbox_id(self) -> str | None:
        try:
            body = json.loads(self._body)
        except ValueError:
            return None
        found = body.get("sandboxID") if isinstance(body, dict) else None
        return found if isinstance(found, str) else None


async def _close_connection(scope: Scope, receive: Receive) -> None:
    scope["extensions"][_ABORT]()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _swallow(_message: Message) -> None:
    return
