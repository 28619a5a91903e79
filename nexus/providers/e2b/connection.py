"""How E2B is reached: one connection is one account at one deployment, said in full so that no environment is read.

The SDK falls back to ``E2B_*`` environment variables for whatever it is not told. Everything that it can be told is
told here, so that two providers with different targets can live in one process.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from e2b import E2B
from e2b.api import AsyncApiClient
from e2b.api.client.models import SandboxDetail
from e2b.api.client_async import get_api_client
from e2b.connection_config import ApiParams, ConnectionConfig
from e2b.sandbox.main import SandboxOpts
from e2b.sandbox_domains import is_supported_sandbox_domain
from packaging.version import Version

DEFAULT_DOMAIN: Final = "e2b.app"
_RETRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Where E2B is and who asks. Addresses that are None follow from ``domain``; times are in seconds.

    ``is_local`` says that the local engine answers there: it gives URLs that work on this machine when it is asked.
    ``account`` tells accounts apart where the API does not: the identity of a local engine.
    """

    api_key: str
    domain: str = DEFAULT_DOMAIN
    api_url: str | None = None
    sandbox_url: str | None = None
    request_timeout: float = 60.0
    is_local: bool = False
    account: str = ""

    def __repr__(self) -> str:
        return f"Settings({'local' if self.is_local else 'e2b'} at {self.api_url or self.domain})"


class Connection:
    """The SDK's classes bound to settings: ``client`` for everything but builds, ``builds`` for those.

    The SDK's transport repeats a request that was answered with 429, 502, 503 or 504, after the time that the answer
    asks for; creates carry a key that makes this safe. ``builds`` has no request timeout of its own, because the SDK
    would apply it to the upload of a whole build context too.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = E2B(**self._options(bounded=True))
        self.builds = E2B(**self._options(bounded=False))

    @property
    def access(self) -> str:
        """A digest of the key: another one may mean another account."""
        return hashlib.sha256(f"nexus access {self.settings.api_key}".encode()).hexdigest()[:16]

    def _options(self, *, bounded: bool) -> ApiParams:
        settings = self.settings
        options = ApiParams(
            api_key=settings.api_key,
            domain=settings.domain,
            api_url=settings.api_url or f"https://api.{settings.domain}",
            debug=False,
            retries=_RETRIES,
        )
        if bounded:
            options["request_timeout"] = settings.request_timeout
        sandbox_url = settings.sandbox_url
        if sandbox_url is None and is_supported_sandbox_domain(settings.domain):
            sandbox_url = f"https://sandbox.{settings.domain}"
        if sandbox_url is not None:
            options["sandbox_url"] = sandbox_url
        return options

    def envd_config(self, sandbox_id: str, access_token: str | None) -> ConnectionConfig:
        """What the SDK needs to talk to the inside of one sandbox."""
        headers = {"E2b-Sandbox-Id": sandbox_id, "E2b-Sandbox-Port": str(ConnectionConfig.envd_port)}
        if access_token:
            headers["X-Access-Token"] = access_token
        return ConnectionConfig(**self._options(bounded=True), extra_sandbox_headers=headers)

    def sandbox_options(self, detail: SandboxDetail) -> SandboxOpts:
        """What the SDK makes its object for a sandbox of; its own ``connect`` would prolong the sandbox's life too."""
        token = detail.envd_access_token if isinstance(detail.envd_access_token, str) else None
        domain = detail.domain if isinstance(detail.domain, str) else None
        return SandboxOpts(
            sandbox_id=detail.sandbox_id,
            sandbox_domain=domain or self.settings.domain,
            envd_version=Version(detail.envd_version),
            envd_access_token=token,
            traffic_access_token=None,
            connection_config=self.envd_config(detail.sandbox_id, token),
        )

    @cached_property
    def api(self) -> AsyncApiClient:
        """The generated REST client, for what the SDK has no method for."""
        return get_api_client(ConnectionConfig(**self._options(bounded=True)))

    async def aclose(self) -> None:
        """Closes what was opened here; the SDK's own pools belong to the process. Safe to call twice."""
        client: AsyncApiClient | None = self.__dict__.pop("api", None)
        if client is not None:
            await client.get_async_httpx_client().aclose()
