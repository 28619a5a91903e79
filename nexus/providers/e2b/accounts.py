"""What is in an account: paged lists, read to their end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from e2b import SandboxInfo, SandboxQuery
from e2b.api.client.api.templates import get_v2_templates
from e2b.api.client.models import Template
from e2b.sandbox.sandbox_api import SandboxListOrder

from nexus.providers.e2b.connection import Connection
from nexus.providers.e2b.rest import answer

_PAGE: Final = 100


async def list_sandboxes(
    connection: Connection, metadata: Mapping[str, str], *, order: SandboxListOrder = "desc"
) -> list[SandboxInfo]:
    """All running and paused sandboxes with this metadata: one request for every hundred."""
    query = SandboxQuery(metadata=dict(metadata)) if metadata else None
    pages = connection.client.AsyncSandbox.list(query=query, limit=_PAGE, order=order)
    found: list[SandboxInfo] = []
    while pages.has_next:
        found += await pages.next_items()
    return found


async def list_templates(connection: Connection) -> dict[str, Template]:
    """All templates of the account by id."""
    found: dict[str, Template] = {}
    token: str | None = None
    while True:
        response = await get_v2_templates.asyncio_detailed(
            client=connection.api, limit=_PAGE, **({"next_token": token} if token else {})
        )
        items: list[Template] = answer(response, list)
        found.update((item.template_id, item) for item in items)
        token = response.headers.get("x-next-token")
        if not token or not items:
            return found
