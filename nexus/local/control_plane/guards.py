"""Who may talk to the control plane: loopback hosts and origins only, and callers with the engine's key or token."""

from __future__ import annotations

import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nexus.local.control_plane.identity_routes import KEYS_PATH
from nexus.local.control_plane.wire_errors import error_response
from nexus.local.errors import EngineError, ForbiddenError, UnauthorizedError

# Authorised by a signature in the URL instead.
UPLOAD_PREFIX = "/nexus/uploads/"
# Authorised by the token of one volume.
VOLUME_PREFIX = "/volumecontent/"
# What an access token opens without an API key: the team, and most of what concerns templates.
_WITH_TOKEN = re.compile(r"/teams|(/v[23])?/templates(/.*)?")


class Guards:
    """ASGI middleware. A web page in the user's browser can reach loopback too: such requests are turned away."""

    def __init__(self, app: ASGIApp, api_key: str, access_token: str) -> None:
        self._app = app
        self._api_key = api_key.encode()
        self._access_token = access_token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await error_response(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> EngineError | None:
        headers = Headers(scope=scope)
        if not is_loopback(headers.get("host", "")):
            return ForbiddenError("requests must be addressed to a loopback host")
        origin = headers.get("origin")
        if origin is not None and not is_loopback(urlsplit(origin).netloc):
            return ForbiddenError("requests from web pages of other hosts are refused")
        path: str = scope["path"]
        if path in ("/health", KEYS_PATH) or path.startswith((UPLOAD_PREFIX, VOLUME_PREFIX)):
            return None
        return self._wrong_credential(path, headers)

    def _wrong_credential(self, path: str, headers: Headers) -> EngineError | None:
        """Every credential that is shown must be right."""
        key, token = headers.get("x-api-key"), _bearer(headers)
        if key is None and (token is None or _WITH_TOKEN.fullmatch(path) is None):
            return UnauthorizedError("Missing API key: send it in the X-API-KEY header")
        if key is not None and not hmac.compare_digest(key.encode(), self._api_key):
            return UnauthorizedError("Invalid API key: it is not this engine's")
        if token is not None and not hmac.compare_digest(token.encode(), self._access_token):
            return UnauthorizedError("Invalid access token: it is not this engine's")
        return None


def has_access_token(headers: Headers) -> bool:
    """Whether a request that the guards let through came with the access token, and not only with the API key."""
    return _bearer(headers) is not None


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def is_loopback(host: str) -> bool:
    """Whether a Host header or the host of an origin names this computer itself."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
