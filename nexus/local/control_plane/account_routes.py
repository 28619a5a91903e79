"""``/teams`` and what needs another credential than an API key: the engine has one team, one user and no operators.

E2B keeps three kinds of callers apart: programs with a team's API key, people with an access token or a login, and its
operators. The engine gives out a key and an access token; nobody can log in, and there are no operators.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.clock import Clock
from nexus.local.control_plane.bodies import query_seconds
from nexus.local.control_plane.guards import has_access_token
from nexus.local.control_plane.sandbox_wire import Json, wire_time
from nexus.local.errors import ForbiddenError, InvalidRequestError, UnauthorizedError
from nexus.local.sandboxes.team_metrics import TeamMetrics, TeamSample
from nexus.local.settings import Settings

_TEAM_NAME = "local"
_VALUES: dict[str, Callable[[TeamSample], float]] = {
    "concurrent_sandboxes": lambda sample: sample.concurrent,
    "sandbox_start_rate": lambda sample: sample.start_rate,
}

# Path and methods of what only people who are logged in, or operators, may do.
_FOR_PEOPLE = (
    ("/access-tokens", ["POST"]),
    ("/access-tokens/{id}", ["DELETE"]),
    ("/api-keys", ["GET", "POST"]),
    ("/api-keys/{id}", ["PATCH", "DELETE"]),
)
_FOR_OPERATORS = (
    ("/nodes", ["GET"]),
    ("/nodes/{id}", ["GET", "POST"]),
    ("/admin/sandboxes/running-counts", ["GET"]),
    ("/admin/teams/{id}/sandboxes/kill", ["POST"]),
    ("/admin/teams/{id}/builds/cancel", ["POST"]),
    ("/admin/teams/{id}/api-keys", ["POST"]),
    ("/admin/teams/{id}/api-keys/{key}", ["DELETE"]),
)


class AccountRoutes:
    def __init__(self, settings: Settings, metrics: TeamMetrics, clock: Clock) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route("/teams", self.teams, methods=["GET"]),
            Route("/teams/{team}/metrics", self.team_metrics, methods=["GET"]),
            Route("/teams/{team}/metrics/max", self.most, methods=["GET"]),
            *(Route(path, _needs_login, methods=methods) for path, methods in _FOR_PEOPLE),
            *(Route(path, _needs_operator, methods=methods) for path, methods in _FOR_OPERATORS),
        ]

    async def teams(self, request: Request) -> Response:
        demand_access_token(request)
        team: Json = {
            "teamID": team_id(self._settings.engine_id),
            "name": _TEAM_NAME,
            "apiKey": self._settings.api_key,
            "isDefault": True,
        }
        return JSONResponse([team])

    async def team_metrics(self, request: Request) -> Response:
        return JSONResponse([_sample(sample) for sample in self._asked(request)])

    async def most(self, request: Request) -> Response:
        """The sample with the highest value of one metric; zero now when there is no sample."""
        value = _VALUES.get(request.query_params.get("metric", ""))
        if value is None:
            raise InvalidRequestError(f"metric must be one of: {', '.join(_VALUES)}")
        highest = max(self._asked(request), key=value, default=TeamSample(self._clock.now(), 0, 0.0))
        return JSONResponse({**_moment(highest.at), "value": value(highest)})

    def _asked(self, request: Request) -> Sequence[TeamSample]:
        if request.path_params["team"] != team_id(self._settings.engine_id):
            raise ForbiddenError("You are not allowed to access this team's metrics")
        start, end = query_seconds(request, "start"), query_seconds(request, "end")
        if start is not None and end is not None and start > end:
            raise InvalidRequestError("start must not be after end")
        return self._metrics.between(start, end)


def demand_access_token(request: Request) -> None:
    """Refuse a caller who only has an API key. The guards have checked what was shown."""
    if not has_access_token(request.headers):
        raise UnauthorizedError("Missing access token: send it as a bearer token in the Authorization header")


def team_id(engine_id: str) -> str:
    """The UUID of the engine's one team."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"nexus:{engine_id}"))


def _sample(sample: TeamSample) -> Json:
    return {
        **_moment(sample.at),
        "concurrentSandboxes": sample.concurrent,
        "sandboxStartRate": sample.start_rate,
    }


def _moment(at: datetime) -> Json:
    return {"timestamp": wire_time(at), "timestampUnix": int(at.timestamp())}


async def _needs_login(_request: Request) -> Response:
    raise UnauthorizedError("This needs a login to E2B's dashboard, and the local engine has none")


async def _needs_operator(_request: Request) -> Response:
    raise UnauthorizedError("This needs the token of an operator of E2B, and the local engine has none")
