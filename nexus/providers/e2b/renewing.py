"""A sandbox that is needed for as long as somebody works in it, on a lease that runs out when nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from nexus.providers.base import LEASE_SECONDS
from nexus.providers.e2b.world import World

# Three occasions before the lease is over.
_RENEWED_EVERY: Final = LEASE_SECONDS / 4


@contextmanager
def renewed(world: World, sandbox_id: str) -> Iterator[None]:
    """Renew the lease of a sandbox in the background while the block lasts."""
    renewing = asyncio.create_task(_renew(world, sandbox_id))
    try:
        yield
    finally:
        renewing.cancel()


async def _renew(world: World, sandbox_id: str) -> None:
    while True:
        await asyncio.sleep(_RENEWED_EVERY)
        with suppress(Exception):  # what is wrong is said by the work that goes on in it
            await world.connection.client.AsyncSandbox.set_timeout(sandbox_id, LEASE_SECONDS)
