"""URLs of ports: names that resolve on E2B, addresses that the local engine forwards on request."""

from __future__ import annotations

from collections.abc import Mapping

from nexus.model.values import Value
from nexus.providers.e2b import errors
from nexus.providers.e2b.connection import Connection


async def urls_of(connection: Connection, sandbox_id: str, ports: Mapping[str, int]) -> dict[str, Value]:
    """A URL by name of port that works as it stands, from this machine and from other sandboxes."""
    return {name: await url_of(connection, sandbox_id, port) for name, port in ports.items()}


async def url_of(connection: Connection, sandbox_id: str, port: int) -> str:
    """The URL of one port."""
    settings = connection.settings
    if not settings.is_local:
        return f"https://{port}-{sandbox_id}.{settings.domain}"
    client = connection.api.get_async_httpx_client()
    response = await client.post(f"/sandboxes/{sandbox_id}/forwards", json={"port": port})
    if response.status_code == 404:
        raise errors.gone(sandbox_id)
    body = response.json() if response.status_code < 300 else {}
    url = body.get("url") if isinstance(body, dict) else None
    if not isinstance(url, str):
        raise errors.failure(
            "no-forward",
            f"The local engine gave no URL for port {port}",
            detail=f"It answered with HTTP {response.status_code}.",
            hint="«nexus local stop» and «nexus local start» begin an engine of this version of nexus",
        )
    return url
