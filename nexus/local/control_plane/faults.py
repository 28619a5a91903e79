"""Scripted failures of the control plane, for tests of clients and of nexus itself.

Only part of an engine that was started with ``NEXUS_LOCAL_FAULTS`` set.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from nexus.local.errors import InvalidRequestError

# The control itself, and what the daemon's own client needs, cannot be made to fail.
_EXEMPT = "/nexus/"
_ABORT = "nexus.abort"
_SHAPE = "a rule needs method, path and an action of status, drop or delay"


@dataclass(slots=True, kw_only=True)
class FaultRule:
    """One failure, for the ``nth`` request (from 1; None: every one) whose method and path match.

    ``status`` answers instead of the engine; ``drop`` lets the engine do the work and then closes the connection
    without an answer; ``delay`` answers normally, ``milliseconds`` later.
    """

    method: str
    path: re.Pattern[str]
    action: Literal["status", "drop", "delay"]
    nth: int | None = 1
    status: int = 500
    milliseconds: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        if self.method not in ("*", method) or self.path.search(path) is None:
            return False
        self.seen += 1
        return self.nth is None or self.seen == self.nth


class Faults:
    """ASGI middleware that carries out the rules of the moment."""

    def __init__(self, app: ASGIApp, rules: Sequence[FaultRule]) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = self._matching(scope)
        if rule is None:
            await self._app(scope, receive, send)
            return
        match rule.action:
            case "status":
                body = {"code": rule.status, "message": "scripted failure"}
                await JSONResponse(body, status_code=rule.status, headers=rule.headers)(scope, receive, send)
            case "delay":
                await asyncio.sleep(rule.milliseconds / 1000)
                await self._app(scope, receive, send)
            case "drop":
                await self._app(scope, receive, _swallow)
                await _close_connection(scope, receive)

    def _matching(self, scope: Scope) -> FaultRule | None:
        if scope["type"] != "http" or scope["path"].startswith(_EXEMPT):
            return None
        # Every rule counts the request, also when an earlier one strikes.
        struck = [rule for rule in self._rules if rule.strikes(scope["method"], scope["path"])]
        return struck[0] if struck else None


class DroppableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which also lets the application close the connection without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        serve = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_ABORT] = transport.abort
            await serve(scope, receive, send)

        self.app = app


async def _close_connection(scope: Scope, receive: Receive) -> None:
    scope["extensions"][_ABORT]()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _swallow(_message: Message) -> None:
    return


def parse_rules(value: object) -> list[FaultRule]:
    """Rules from the body of ``POST /nexus/faults``: ``[{method, path, action, nth?, status?, ms?, headers?}]``."""
    if not isinstance(value, list):
        raise InvalidRequestError("a list of rules is expected")
    return [_parse_rule(item) for item in value]


def _parse_rule(value: object) -> FaultRule:
    match value:
        case dict() as fields if isinstance(fields.get("headers", {}), dict):
            return _rule_of(fields)
        case _:
            raise InvalidRequestError(_SHAPE)


def _rule_of(fields: dict[str, object]) -> FaultRule:
    match fields:
        case {"method": str(method), "path": str(path), "action": "status" | "drop" | "delay" as action}:
            return FaultRule(
                method=method.upper(),
                path=_pattern(path),
                action=action,
                nth=_optional_number(fields, "nth", 1),
                status=_optional_number(fields, "status", 500) or 500,
                milliseconds=_optional_number(fields, "ms", 0) or 0,
                headers={str(key): str(text) for key, text in _mapping(fields.get("headers")).items()},
            )
        case _:
            raise InvalidRequestError(_SHAPE)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidRequestError(f"path is not a regular expression: {error}") from error


def _optional_number(value: Mapping[str, object], key: str, default: int) -> int | None:
    found = value.get(key, default)
    if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
        raise InvalidRequestError(f"{key} must be a whole number")
    return found


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
