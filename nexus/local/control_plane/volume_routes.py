"""``/volumes``: the names and ids of volumes. What is in them is ``volume_content_routes.py``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.control_plane.bodies import read_fields
from nexus.local.control_plane.sandbox_wire import Json, SandboxWire
from nexus.local.errors import InvalidRequestError
from nexus.local.limits.quotas import Quotas
from nexus.local.sandboxes.service import SandboxService
from nexus.local.sandboxes.volumes import Volume, VolumeRegistry


class VolumeRoutes:
    def __init__(self, volumes: VolumeRegistry, sandboxes: SandboxService, wire: SandboxWire, quotas: Quotas) -> None:
        self._volumes = volumes
        self._quotas = quotas
        self._sandboxes = sandboxes
        self._wire = wire

    def routes(self) -> list[Route]:
        return [
            Route("/volumes", self.create, methods=["POST"]),
            Route("/volumes", self.list_volumes, methods=["GET"]),
            Route("/volumes/{volume_id}", self.get, methods=["GET"]),
            Route("/volumes/{volume_id}", self.destroy, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        name = (await read_fields(request)).required_text("name")
        volume = await self._volumes.create(name, self._quotas.check_volumes)
        return JSONResponse(self._with_token(volume), status_code=201)

    async def list_volumes(self, _request: Request) -> Response:
        return JSONResponse([{"volumeID": volume.id, "name": volume.name} for volume in self._volumes.list()])

    async def get(self, request: Request) -> Response:
        return JSONResponse(self._with_token(self._volumes.get(request.path_params["volume_id"])))

    async def destroy(self, request: Request) -> Response:
        volume = self._volumes.get(request.path_params["volume_id"])
        if self._sandboxes.uses_volume(volume.name):
            raise InvalidRequestError(f"volume '{volume.name}' is mounted in a sandbox: kill that sandbox first")
        await self._volumes.destroy(volume.id)
        return Response(status_code=204)

    def _with_token(self, volume: Volume) -> Json:
        return {"volumeID": volume.id, "name": volume.name, "token": self._wire.token("volume", volume.id)}
