"""``/nexus``: what this engine offers beyond E2B's API: status, shutdown, per-port addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.control_plane.bodies import read_fields
from nexus.local.errors import InvalidRequestError

Status = Callable[[], Awaitable[Mapping[str, object]]]
Shutdown = Callable[[bool], None]
"""Called with whether the sandboxes are to be killed too."""
OpenForward = Callable[[str, int], Awaitable[str]]
"""The address that leads to a port of a sandbox."""
Prune = Callable[[], Awaitable[int]]
"""Frees what nothing needs; answers with how many bytes that was."""


class EngineRoutes:
    def __init__(self, status: Status, shutdown: Shutdown, open_forward: OpenForward, prune: Prune) -> None:
        self._status = status
        self._shutdown = shutdown
        self._open_forward = open_forward
        self._prune = prune

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.health, methods=["GET"]),
            Route("/nexus/status", self.status, methods=["GET"]),
            Route("/nexus/shutdown", self.shutdown, methods=["POST"]),
            Route("/nexus/prune", self.prune, methods=["POST"]),
            Route("/sandboxes/{sandbox_id}/forwards", self.forward, methods=["POST"]),
        ]

    async def health(self, _request: Request) -> Response:
        return Response(status_code=204)

    async def status(self, _request: Request) -> Response:
        return JSONResponse(dict(await self._status()))

    async def shutdown(self, request: Request) -> Response:
        """Answered before it happens."""
        kill_sandboxes = (await read_fields(request)).flag("killSandboxes")
        self._shutdown(kill_sandboxes)
        return Response(status_code=202)

    async def prune(self, _request: Request) -> Response:
        return JSONResponse({"freedBytes": await self._prune()})

    async def forward(self, request: Request) -> Response:
        port = (await read_fields(request)).optional_number("port")
        if port is None or not 1 <= port <= 65535:
            raise InvalidRequestError("port must be a number between 1 and 65535")
        url = await self._open_forward(request.path_params["sandbox_id"], port)
        return JSONResponse({"url": url}, status_code=201)
