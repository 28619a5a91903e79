"""``/sandboxes``: create, list, look at, and change the lifetime and state of sandboxes."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.control_plane.bodies import (
    Fields,
    query_milliseconds,
    query_number,
    query_seconds,
    read_fields,
    read_optional_fields,
)
from nexus.local.control_plane.creating import Creator
from nexus.local.control_plane.network_requests import parse_network
from nexus.local.control_plane.sandbox_requests import parse_create, parse_list
from nexus.local.control_plane.sandbox_wire import SandboxWire, log_entry, log_line, metric
from nexus.local.errors import InvalidRequestError
from nexus.local.sandboxes.booting import Booter
from nexus.local.sandboxes.departed import Departed, Remains
from nexus.local.sandboxes.listing import SandboxPage
from nexus.local.sandboxes.logbook import MAX_ENTRIES, LogEntry, LogQuery, check_level, select
from nexus.local.sandboxes.logs import read_logs
from nexus.local.sandboxes.model import PauseMode, TemplateSource
from nexus.local.sandboxes.service import SandboxService

DEFAULT_TIMEOUT, DEFAULT_TIMEOUT_V1 = 300, 15
_MAX_METRICS_IDS = 100
_LONGEST_SEARCH = 256


class SandboxRoutes:
    def __init__(
        self,
        *,
        service: SandboxService,
        departed: Departed,
        templates: TemplateSource,
        booter: Booter,
        creator: Creator,
        wire: SandboxWire,
    ) -> None:
        self._service = service
        self._departed = departed
        self._templates = templates
        self._booter = booter
        self._creator = creator
        self._wire = wire

    def routes(self) -> list[Route]:
        one = "/sandboxes/{sandbox_id}"
        return [
            Route("/v2/sandboxes", self.create, methods=["POST"]),
            Route("/sandboxes", self.create_v1, methods=["POST"]),
            Route("/v2/sandboxes", self.list_sandboxes, methods=["GET"]),
            Route("/sandboxes", self.list_v1, methods=["GET"]),
            Route("/sandboxes/metrics", self.metrics_of_many, methods=["GET"]),
            Route(one, self.get, methods=["GET"]),
            Route(one, self.kill, methods=["DELETE"]),
            Route(f"{one}/timeout", self.set_timeout, methods=["POST"]),
            Route(f"{one}/refreshes", self.refresh, methods=["POST"]),
            Route(f"/v2{one}/connect", self.connect, methods=["POST"]),
            Route(f"{one}/connect", self.connect_v1, methods=["POST"]),
            Route(f"{one}/resume", self.resume, methods=["POST"]),
            Route(f"{one}/pause", self.pause, methods=["POST"]),
            Route(f"{one}/network", self.update_network, methods=["PUT"]),
            Route(f"{one}/metrics", self.metrics, methods=["GET"]),
            Route(f"/v2{one}/logs", self.logs, methods=["GET"]),
            Route(f"{one}/logs", self.logs_v1, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        return await self._create(request, DEFAULT_TIMEOUT, request.headers.get("idempotency-key"))

    async def create_v1(self, request: Request) -> Response:
        return await self._create(request, DEFAULT_TIMEOUT_V1, None)

    async def _create(self, request: Request, default_timeout: int, key: str | None) -> Response:
        fields = await read_fields(request)
        answer = await self._creator.create(lambda: parse_create(fields, default_timeout), fields, key)
        return JSONResponse(answer.content(), status_code=answer.status)

    async def list_sandboxes(self, request: Request) -> Response:
        page = self._service.list(parse_list(request, self._templates, all_states=True))
        return JSONResponse([self._wire.listed(record) for record in page.records], headers=_paging(page))

    async def list_v1(self, request: Request) -> Response:
        page = self._service.list(parse_list(request, self._templates, all_states=False))
        return JSONResponse([self._wire.listed(record) for record in page.records])

    async def get(self, request: Request) -> Response:
        return JSONResponse(self._wire.detail(self._service.get(_id(request))))

    async def kill(self, request: Request) -> Response:
        await self._service.kill(_id(request))
        return Response(status_code=204)

    async def set_timeout(self, request: Request) -> Response:
        seconds = (await read_optional_fields(request)).optional_number("timeout")
        if seconds is None:
            raise InvalidRequestError("timeout is required")
        await self._service.set_timeout(_id(request), seconds)
        return Response(status_code=204)

    async def refresh(self, request: Request) -> Response:
        seconds = (await read_optional_fields(request)).number("duration", DEFAULT_TIMEOUT_V1)
        if not 0 <= seconds <= 3600:
            raise InvalidRequestError("duration must be between 0 and 3600")
        await self._service.extend(_id(request), seconds)
        return Response(status_code=204)

    async def connect(self, request: Request) -> Response:
        return await self._connect(request, await read_fields(request), DEFAULT_TIMEOUT)

    async def connect_v1(self, request: Request) -> Response:
        fields = await read_fields(request)
        if not fields.has("timeout"):
            raise InvalidRequestError("timeout is required")
        return await self._connect(request, fields, 0)

    async def _connect(self, request: Request, fields: Fields, default_timeout: int) -> Response:
        timeout = _not_negative(fields.number("timeout", default_timeout))
        reboot = not fields.flag("memory", default=True)
        record, resumed = await self._service.connect(_id(request), timeout, reboot=reboot)
        return JSONResponse(self._wire.created(record), status_code=201 if resumed else 200)

    async def resume(self, request: Request) -> Response:
        fields = await read_fields(request)
        # Older clients say it; the sandbox keeps the lifecycle it was made with.
        fields.flag("autoPause")
        timeout = _not_negative(fields.number("timeout", DEFAULT_TIMEOUT_V1))
        record = await self._service.resume(_id(request), timeout)
        return JSONResponse(self._wire.created(record), status_code=201)

    async def pause(self, request: Request) -> Response:
        fields = await read_optional_fields(request)
        mode = PauseMode.FULL if fields.flag("memory", default=True) else PauseMode.FILESYSTEM
        await self._service.pause(_id(request), mode, require_healthy=fields.flag("requireHealthyGuest"))
        return Response(status_code=204)

    async def update_network(self, request: Request) -> Response:
        fields = await read_fields(request)
        tokens = self._service.get(_id(request)).identity
        internet = fields.optional_flag("allow_internet_access")
        egress = parse_network(fields, internet, ingress=False, tokens=tokens)
        await self._service.update_network(_id(request), egress)
        return Response(status_code=204)

    async def metrics(self, request: Request) -> Response:
        remains = self._remains(request)
        series = self._service.fleet.find(_id(request)).samples if remains is None else remains.samples
        samples = series.between(query_seconds(request, "start"), query_seconds(request, "end"))
        return JSONResponse([metric(sample) for sample in samples])

    async def metrics_of_many(self, request: Request) -> Response:
        ids = [part for part in request.query_params.get("sandbox_ids", "").split(",") if part]
        if not ids or len(ids) > _MAX_METRICS_IDS:
            raise InvalidRequestError(f"sandbox_ids must name 1 to {_MAX_METRICS_IDS} sandboxes")
        latest = {}
        for sandbox_id in ids:
            live = self._service.fleet.get(sandbox_id)
            if live is not None and (sample := live.samples.latest()) is not None:
                latest[live.id] = metric(sample)
        return JSONResponse({"sandboxes": latest})

    async def logs(self, request: Request) -> Response:
        direction = request.query_params.get("direction", "forward")
        if direction not in ("forward", "backward"):
            raise InvalidRequestError("direction must be forward or backward")
        query = LogQuery(
            start=query_milliseconds(request, "cursor"),
            limit=query_number(request, "limit", MAX_ENTRIES, high=MAX_ENTRIES),
            newest_first=direction == "backward",
            level=check_level(request.query_params.get("level")),
            search=_search(request),
        )
        return JSONResponse({"logs": [log_entry(entry) for entry in await self._read_logs(request, query)]})

    async def logs_v1(self, request: Request) -> Response:
        query = LogQuery(
            start=query_milliseconds(request, "start"),
            limit=query_number(request, "limit", MAX_ENTRIES, high=2**31 - 1),
        )
        entries = await self._read_logs(request, query)
        return JSONResponse(
            {"logs": [log_line(entry) for entry in entries], "logEntries": [log_entry(entry) for entry in entries]}
        )

    async def _read_logs(self, request: Request, query: LogQuery) -> Iterable[LogEntry]:
        if (remains := self._remains(request)) is not None:
            return select(remains.entries, query)
        return await read_logs(self._service.fleet.find(_id(request)), self._booter, query)

    def _remains(self, request: Request) -> Remains | None:
        """Of a sandbox that was killed; None when it lives, or never did."""
        sandbox_id = _id(request)
        return None if self._service.fleet.get(sandbox_id) is not None else self._departed.find(sandbox_id)


def _id(request: Request) -> str:
    return str(request.path_params["sandbox_id"])


def _search(request: Request) -> str | None:
    text = request.query_params.get("search")
    if text is not None and len(text) > _LONGEST_SEARCH:
        raise InvalidRequestError(f"search must not be longer than {_LONGEST_SEARCH} characters")
    return text


def _not_negative(timeout: int) -> int:
    if timeout < 0:
        raise InvalidRequestError("Timeout must not be negative")
    return timeout


def _paging(page: SandboxPage) -> dict[str, str]:
    headers = {}
    if page.next_token is not None:
        headers["x-next-token"] = page.next_token
    if page.total_running is not None:
        headers["X-Total-Running"] = str(page.total_running)
    return headers
