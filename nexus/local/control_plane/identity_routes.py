"""``/nexus/identity/keys``, which verifies identity tokens, and ``/nexus/names``, which tests set names with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Address

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.control_plane.bodies import read_fields
from nexus.local.errors import InvalidRequestError
from nexus.local.relay import IdentityIssuer

KEYS_PATH = "/nexus/identity/keys"
"""Open to everyone: verifiers have no API key, and the keys are public."""


class IdentityRoutes:
    def __init__(self, issuer: IdentityIssuer) -> None:
        self._issuer = issuer

    def routes(self) -> list[Route]:
        return [Route(KEYS_PATH, self.keys, methods=["GET"])]

    async def keys(self, _request: Request) -> Response:
        return JSONResponse(dict(self._issuer.keys()))


SetNames = Callable[[Mapping[str, str]], Awaitable[None]]


class NameRoutes:
    """Only part of an engine that was started for tests."""

    def __init__(self, set_names: SetNames) -> None:
        self._set_names = set_names

    def routes(self) -> list[Route]:
        return [Route("/nexus/names", self.replace, methods=["PUT"])]

    async def replace(self, request: Request) -> Response:
        """``{name: IPv4 address}``: what sandboxes are told for these names, whatever the world knows of them."""
        fields = await read_fields(request)
        names = {name: fields.required_text(name) for name in fields.raw()}
        for name, address in names.items():
            try:
                IPv4Address(address)
            except ValueError:
                raise InvalidRequestError(f"{name} must be an IPv4 address") from None
        await self._set_names(names)
        return Response(status_code=204)
