"""``/secrets``: named values that can be written and used, and never read."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.control_plane.bodies import Fields, read_fields
from nexus.local.control_plane.paging import page
from nexus.local.control_plane.sandbox_wire import Json, wire_time
from nexus.local.errors import InvalidRequestError
from nexus.local.limits.quotas import Quotas
from nexus.local.secrets import Secret, SecretRegistry


class SecretRoutes:
    def __init__(self, secrets: SecretRegistry, quotas: Quotas) -> None:
        self._secrets = secrets
        self._quotas = quotas

    def routes(self) -> list[Route]:
        return [
            Route("/secrets", self.create, methods=["POST"]),
            Route("/secrets", self.list_secrets, methods=["GET"]),
            Route("/secrets/{secret_id}", self.get, methods=["GET"]),
            Route("/secrets/{secret_id}", self.update, methods=["POST"]),
            Route("/secrets/{secret_id}", self.destroy, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        fields = await read_fields(request)
        secret = await self._secrets.create(
            fields.required_text("name"), _value(fields), fields.text_map("metadata"), self._quotas.check_secrets
        )
        return JSONResponse(_shown(secret), status_code=201)

    async def list_secrets(self, request: Request) -> Response:
        secrets, headers = page(request, self._secrets.list(), lambda secret: secret.id)
        return JSONResponse([_shown(secret) for secret in secrets], headers=headers)

    async def get(self, request: Request) -> Response:
        return JSONResponse(_shown(self._secrets.get(_selector(request))))

    async def update(self, request: Request) -> Response:
        fields = await read_fields(request)
        metadata = fields.text_map("metadata") if fields.has("metadata") else None
        return JSONResponse(_shown(await self._secrets.update(_selector(request), _value(fields), metadata)))

    async def destroy(self, request: Request) -> Response:
        await self._secrets.destroy(_selector(request))
        return Response(status_code=204)


def _selector(request: Request) -> str:
    return str(request.path_params["secret_id"])


def _value(fields: Fields) -> str:
    """Refusals name the field alone: what was sent in it may be the secret."""
    value = fields.raw().get("value")
    if not isinstance(value, str):
        raise InvalidRequestError("Invalid request body: value must be a string")
    return value


def _shown(secret: Secret) -> Json:
    return {
        "secretID": secret.id,
        "name": secret.name,
        "currentVersion": secret.version,
        "metadata": dict(secret.metadata),
        "createdAt": wire_time(secret.created_at),
        "updatedAt": wire_time(secret.updated_at),
    }
