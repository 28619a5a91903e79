"""Copies of sandboxes: ``/sandboxes/{id}/snapshots``, ``/snapshots`` and ``/sandboxes/{id}/fork``.

A snapshot is deleted like any other template, by ``DELETE /templates/{id}``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.builds.snapshots import MAX_PAGE, Snapshot, SnapshotQuery, SnapshotService
from nexus.local.control_plane.bodies import query_number, read_fields, read_optional_fields
from nexus.local.control_plane.sandbox_wire import Json, SandboxWire
from nexus.local.errors import EngineError, InvalidRequestError
from nexus.local.limits.quotas import Quotas
from nexus.local.sandboxes.copying import MAX_FORKS, Fork, SandboxCopier

DEFAULT_FORK_TIMEOUT = 15
Result = TypeVar("Result")


class SnapshotRoutes:
    def __init__(self, snapshots: SnapshotService, copier: SandboxCopier, quotas: Quotas, wire: SandboxWire) -> None:
        self._snapshots = snapshots
        self._copier = copier
        self._quotas = quotas
        self._wire = wire
        self._tasks: set[asyncio.Task[object]] = set()

    def routes(self) -> list[Route]:
        return [
            Route("/sandboxes/{sandbox_id}/snapshots", self.create, methods=["POST"]),
            Route("/sandboxes/{sandbox_id}/fork", self.fork, methods=["POST"]),
            Route("/snapshots", self.list_snapshots, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        fields = await read_fields(request)
        # Without memory or with it, a snapshot holds files here.
        fields.optional_flag("memory")
        name = fields.text("name") or None
        snapshot = await self._to_the_end(self._snapshots.create(request.path_params["sandbox_id"], name))
        return JSONResponse(_snapshot(snapshot), status_code=201)

    async def list_snapshots(self, request: Request) -> Response:
        page = self._snapshots.list(
            SnapshotQuery(
                sandbox_id=request.query_params.get("sandboxID") or None,
                name=request.query_params.get("name") or None,
                limit=query_number(request, "limit", MAX_PAGE, low=1, high=MAX_PAGE),
                next_token=request.query_params.get("nextToken") or None,
            )
        )
        headers = {} if page.next_token is None else {"x-next-token": page.next_token}
        return JSONResponse([_snapshot(snapshot) for snapshot in page.snapshots], headers=headers)

    async def fork(self, request: Request) -> Response:
        fields = await read_optional_fields(request)
        seconds = fields.number("timeout", DEFAULT_FORK_TIMEOUT)
        if seconds < 0:
            raise InvalidRequestError("Timeout must not be negative")
        count = fields.number("count", 1)
        self._check_count(count)
        forks = await self._to_the_end(
            self._copier.fork(request.path_params["sandbox_id"], seconds=seconds, count=count)
        )
        return JSONResponse([self._fork(fork) for fork in forks], status_code=201)

    def _check_count(self, count: int) -> None:
        if count < 1:
            raise InvalidRequestError("Count must be at least 1")
        if count > MAX_FORKS:
            raise InvalidRequestError(f"Count cannot be greater than {MAX_FORKS}")
        # The source goes on and counts as well.
        limit = self._quotas.limits.concurrent_sandboxes
        if count >= limit:
            raise InvalidRequestError(f"Count must be lower than the maximum number of concurrent sandboxes ({limit})")

    def _fork(self, fork: Fork) -> Json:
        if isinstance(fork, EngineError):
            return {"error": {"code": fork.status, "message": fork.message}}
        return {"sandbox": self._wire.created(fork)}

    async def _to_the_end(self, work: Coroutine[None, None, Result]) -> Result:
        """A client that goes away does not leave a half-made copy behind."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)


def _snapshot(snapshot: Snapshot) -> Json:
    return {"snapshotID": snapshot.id, "names": snapshot.names}
