"""The ASGI application of envd: who may call, then plain routes and the two RPC services."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from e2b.envd.filesystem.filesystem_connect import FilesystemASGIApplication
from e2b.envd.process.process_connect import ProcessASGIApplication
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from nexus.local.envd import trust
from nexus.local.envd.access import AccessDeniedError, check_token
from nexus.local.envd.accounts import Accounts
from nexus.local.envd.codecs import CODECS
from nexus.local.envd.config import EnvdConfig
from nexus.local.envd.context import Context
from nexus.local.envd.file_routes import file_routes
from nexus.local.envd.filesystem_service import FilesystemService
from nexus.local.envd.http_errors import RequestError
from nexus.local.envd.json_bodies import read_json
from nexus.local.envd.logbook import Logbook
from nexus.local.envd.metrics import Meter
from nexus.local.envd.process_service import ProcessService
from nexus.local.envd.processes import ProcessTable
from nexus.local.envd.reaper import Reaper
from nexus.local.envd.watching import WatcherTable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Input for processes comes in single messages, which may be long.
_MAX_MESSAGE = 64 * 1024 * 1024
# These decide about access themselves, because a signature can stand for the token.
_OPEN_PATHS = ("/health", "/files")


def create_envd(config: EnvdConfig, *, accounts: Accounts | None = None, reaper: Reaper | None = None) -> ASGIApp:
    """The application of one machine. ``accounts`` and ``reaper`` default to those of the machine it runs in."""
    return assemble_envd(Context(config, accounts or Accounts()), reaper or Reaper(orphans=os.getpid() == 1))


def assemble_envd(context: Context, reaper: Reaper) -> ASGIApp:
    """The application over a context that may still be told what machine it is in."""
    logbook = Logbook()
    table = ProcessTable(reaper, logbook)
    processes = ProcessASGIApplication(ProcessService(context, table), read_max_bytes=_MAX_MESSAGE, codecs=CODECS)
    files = FilesystemService(context, WatcherTable())
    filesystem = FilesystemASGIApplication(files, read_max_bytes=_MAX_MESSAGE, codecs=CODECS)
    router = Router(
        [
            *_machine_routes(context, logbook),
            *file_routes(context),
            Mount(processes.path, processes),
            Mount(filesystem.path, filesystem),
        ]
    )
    return _allow_browsers(_demand_token(router, context))


def _allow_browsers(app: ASGIApp) -> ASGIApp:
    """Let pages of any origin call: the token, not the origin, decides."""
    return CORSMiddleware(
        app,
        allow_origins=["*"],
        allow_methods=["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Location", "Cache-Control", "X-Content-Type-Options", "Content-Disposition", "Content-Range"],
        max_age=7200,
    )


def _demand_token(app: ASGIApp, context: Context) -> ASGIApp:
    """Answer 401 to everything but the open paths when the access token is not shown."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _OPEN_PATHS:
            try:
                check_token(Headers(scope=scope), context.config.access_token)
            except AccessDeniedError as error:
                await RequestError(401, str(error)).response()(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded


def _machine_routes(context: Context, logbook: Logbook) -> list[Route]:
    """Health, environment, metrics, and what only the daemon asks over the machine's socket: ``/init``, ``/logs``."""
    meter = Meter()

    async def health(_request: Request) -> Response:
        return Response(status_code=204, headers={"cache-control": "no-store"})

    async def envs(_request: Request) -> Response:
        return JSONResponse(context.sandbox_env(), headers={"cache-control": "no-store"})

    async def metrics(_request: Request) -> Response:
        try:
            return JSONResponse(meter.sample(), headers={"cache-control": "no-store"})
        except FileNotFoundError:
            return RequestError(501, "this machine has no /proc to measure by").response()

    async def logs(_request: Request) -> Response:
        return JSONResponse({"events": [event.to_json() for event in logbook.events()]})

    async def init(request: Request) -> Response:
        try:
            body = await read_json(request)
            context.reconfigure(**_init_wishes(body))
            if bundle := body.get("caBundle"):
                context.reconfigure(extra_env=trust.install(str(bundle), context.config.extra_env))
        except (ValueError, TypeError):
            return RequestError(
                400, "the body must be a JSON object with envVars, defaultUser, defaultWorkdir, caBundle"
            ).response()
        return Response(status_code=204)

    return [
        Route("/health", health, methods=["GET"]),
        Route("/envs", envs, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/logs", logs, methods=["GET"]),
        Route("/init", init, methods=["POST"]),
    ]


def _init_wishes(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise TypeError("not an object")
    env_vars, user, workdir = body.get("envVars"), body.get("defaultUser"), body.get("defaultWorkdir")
    if not isinstance(env_vars, dict | None) or not isinstance(user, str | None) or not isinstance(workdir, str | None):
        raise TypeError("a field has the wrong type")
    texts = {str(name): str(value) for name, value in (env_vars or {}).items()}
    return {"env_vars": texts, "default_user": user, "workdir": workdir}
