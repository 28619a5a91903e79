"""``/nexus/faults``, ``/nexus/limits`` and, in an engine started for tests, ``/nexus/clock``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.clock import AdjustableClock
from nexus.local.control_plane.bodies import read_fields, read_json
from nexus.local.control_plane.sandbox_wire import wire_time
from nexus.local.errors import InvalidRequestError
from nexus.local.faults.documents import FaultsError, parse_faults, shown_faults
from nexus.local.faults.model import FaultDocument, FaultScript
from nexus.local.limits.documents import LimitsError, parse_limits, shown_limits
from nexus.local.limits.quotas import Quotas


class ControlRoutes:
    """What is set here holds until it is set anew or the engine's process ends."""

    def __init__(self, script: FaultScript, quotas: Quotas) -> None:
        self._script = script
        self._quotas = quotas

    def routes(self) -> list[Route]:
        return [
            Route("/nexus/faults", self.faults, methods=["GET"]),
            Route("/nexus/faults", self.set_faults, methods=["POST"]),
            Route("/nexus/faults", self.clear_faults, methods=["DELETE"]),
            Route("/nexus/limits", self.limits, methods=["GET"]),
            Route("/nexus/limits", self.set_limits, methods=["POST"]),
            Route("/nexus/limits", self.reset_limits, methods=["DELETE"]),
        ]

    async def faults(self, _request: Request) -> Response:
        return JSONResponse(shown_faults(self._script))

    async def set_faults(self, request: Request) -> Response:
        """Replace all rules; an empty list ends the failures."""
        try:
            document = parse_faults(await read_json(request))
        except FaultsError as error:
            raise InvalidRequestError(str(error)) from error
        self._script.replace(document)
        return Response(status_code=204)

    async def clear_faults(self, _request: Request) -> Response:
        self._script.replace(FaultDocument())
        return Response(status_code=204)

    async def limits(self, _request: Request) -> Response:
        return JSONResponse(shown_limits(self._quotas.limits))

    async def set_limits(self, request: Request) -> Response:
        """Replace all limits; what is not said is as the engine was started with."""
        try:
            limits = parse_limits(await read_json(request), self._quotas.initial)
        except LimitsError as error:
            raise InvalidRequestError(str(error)) from error
        self._quotas.replace(limits)
        return Response(status_code=204)

    async def reset_limits(self, _request: Request) -> Response:
        self._quotas.replace(self._quotas.initial)
        return Response(status_code=204)


class ClockRoutes:
    """Only part of an engine that was started for tests."""

    def __init__(self, clock: AdjustableClock) -> None:
        self._clock = clock

    def routes(self) -> list[Route]:
        return [Route("/nexus/clock", self.advance, methods=["POST"])]

    async def advance(self, request: Request) -> Response:
        """``{advance: seconds}`` moves time forward; answers with the engine's time."""
        seconds = (await read_fields(request)).number("advance", 0)
        if seconds < 0:
            raise InvalidRequestError("time only moves forward")
        return JSONResponse({"now": wire_time(self._clock.advance(seconds))})
