"""The HTTP side of a controller. Nothing can be changed here: every route is a GET, and no page has a script.

Only the interactive graph brings one, its own, allowed by its digest in its own content policy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from nexus import ListedRun
from nexus.controller.documents import board_to_json
from nexus.controller.projects import Managed
from nexus.controller.settings import Key
from nexus.controller.status import Board, Standing
from nexus.controller.web import elements
from nexus.controller.web.environment import environment
from nexus.controller.web.overview import overview
from nexus.model.changes import Plan
from nexus.model.diagnostics import DiagnosticsError

_RUNS_SHOWN: Final = 15
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_OF_PICTURES: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_OF_INTERACTIVE: Final = "frame-ancestors 'none'"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Window:
    """What is shown. ``project`` finds what an environment's files say, None before they could be read.

    ``is_alive`` says whether the controller's own tasks all go on.
    """

    board: Board
    project: Callable[[Key], Managed | None]
    metrics: Callable[[], bytes]
    is_alive: Callable[[], bool]


class _Shows(Protocol):
    def __call__(self, standing: Standing, project: Managed, /) -> Awaitable[Response]: ...


def make_app(window: Window, host: str) -> Starlette:
    """Apart from serving it. On a loopback ``host``, requests for other names are refused: pages elsewhere could
    otherwise read this one through a name that leads here."""
    views = _Views(window)
    routes = [
        Route("/", views.index),
        Route("/style.css", views.style),
        Route("/healthz", views.health),
        Route("/readyz", views.ready),
        Route("/metrics", views.metrics),
        Route("/api/environments", views.environments),
        Route("/environments/{project}/{environment}", views.environment),
        Route("/environments/{project}/{environment}/graph.svg", views.picture),
        Route("/environments/{project}/{environment}/graph", views.graph),
    ]
    guard = [Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]"], www_redirect=False)]
    return Starlette(routes=routes, middleware=guard if is_loopback(host) else [])


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Views:
    def __init__(self, window: Window) -> None:
        self._window = window

    async def index(self, request: Request) -> Response:  # noqa: ARG002
        return _page(overview(self._window.board.all, datetime.now(UTC)))

    async def style(self, request: Request) -> Response:  # noqa: ARG002
        return Response(elements.stylesheet(), media_type="text/css", headers=_HEADERS)

    async def health(self, request: Request) -> Response:  # noqa: ARG002
        alive = self._window.is_alive()
        return PlainTextResponse("ok\n" if alive else "a task has ended\n", 200 if alive else 503, headers=_HEADERS)

    async def ready(self, request: Request) -> Response:  # noqa: ARG002
        ready = self._window.board.is_ready
        text = "ok\n" if ready else "not every environment was looked at yet\n"
        return PlainTextResponse(text, 200 if ready else 503, headers=_HEADERS)

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(self._window.metrics(), headers={**_HEADERS, "Content-Type": kind})

    async def environments(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse(board_to_json(self._window.board), headers=_HEADERS)

    async def environment(self, request: Request) -> Response:
        standing = self._standing(request.path_params)
        if standing is None:
            return _page(elements.not_found(), 404)
        project = self._window.project(standing.key)
        runs, now = await _runs(project), datetime.now(UTC)
        return _page(environment(standing, runs, now, has_graph=project is not None))

    async def picture(self, request: Request) -> Response:
        async def show(standing: Standing, project: Managed) -> Response:
            svg = await project.picture("svg", _planned(standing))
            return Response(svg, media_type="image/svg+xml", headers=_headers(_OF_PICTURES))

        return await self._of_project(request.path_params, show)

    async def graph(self, request: Request) -> Response:
        async def show(standing: Standing, project: Managed) -> Response:
            return HTMLResponse(await project.picture("html", _planned(standing)), headers=_headers(_OF_INTERACTIVE))

        return await self._of_project(request.path_params, show)

    async def _of_project(self, names: Mapping[str, str], show: _Shows) -> Response:
        standing = self._standing(names)
        project = None if standing is None else self._window.project(standing.key)
        if standing is None or project is None:
            return _page(elements.not_found(), 404)
        try:
            return await show(standing, project)
        except DiagnosticsError as problem:
            return _page(elements.failure(problem.diagnostics), 503)

    def _standing(self, names: Mapping[str, str]) -> Standing | None:
        return self._window.board.get(Key(names["project"], names["environment"]))


def _planned(standing: Standing) -> Plan | None:
    """What is still to be done; a plan that was carried out says nothing of what is there."""
    return standing.plan if standing.pending else None


async def _runs(project: Managed | None) -> Sequence[ListedRun]:
    """The last ones; a store that can't be read just now should not take the page away."""
    try:
        return () if project is None else await project.runs(limit=_RUNS_SHOWN)
    except DiagnosticsError:
        return ()


def _page(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, headers=_headers(_POLICY))


def _headers(policy: str) -> dict[str, str]:
    return {**_HEADERS, "Content-Security-Policy": policy}
