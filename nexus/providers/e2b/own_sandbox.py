"""The sandbox of one step's own: made for it, kept alive while it runs, and killed when it has ended.

It lives on a lease of two minutes, which is renewed as long as this process does. Whatever ends nexus, the sandbox
ends, too; so nothing has to be remembered of it, and it bears no address that others could take for a resource's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Final

from nexus.kinds.sandbox import SandboxSpec
from nexus.providers.base import LEASE_SECONDS, Call
from nexus.providers.e2b.inside import Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.metadata import OPERATION, PREFIX, scope
from nexus.providers.e2b.sandbox.lifecycle import make, own_volume_roots
from nexus.providers.e2b.world import World

STEP: Final = f"{PREFIX}step"
_RENEWED_EVERY: Final = LEASE_SECONDS / 3


@asynccontextmanager
async def own_sandbox(world: World, call: Call, spec: SandboxSpec) -> AsyncIterator[Inside]:
    """A sandbox for as long as the block lasts, however that ends."""
    marks = {**scope(call.project, call.environment), STEP: str(call.address), OPERATION: call.key}
    # Another key for each: a repeated one would be answered with the sandbox that was killed.
    key = f"{call.key}-{new_token()}"
    sandbox = await make(world, call, spec, template=spec.template, lease=LEASE_SECONDS, key=key, own_marks=marks)
    inside = world.sandboxes.adopt(sandbox, str(call.address))
    renewing = asyncio.create_task(_renew(world, inside.id))
    try:
        if spec.volumes:
            await own_volume_roots(inside, spec)
        yield inside
    finally:
        renewing.cancel()
        world.sandboxes.forget(inside.id)
        await _to_its_end(_kill(world, inside.id))


async def _renew(world: World, sandbox_id: str) -> None:
    while True:
        await asyncio.sleep(_RENEWED_EVERY)
        with suppress(Exception):  # there are two more occasions before the lease is over
            await world.connection.client.AsyncSandbox.set_timeout(sandbox_id, LEASE_SECONDS)


async def _kill(world: World, sandbox_id: str) -> None:
    with suppress(Exception):  # then its lease ends it
        await world.connection.client.AsyncSandbox.kill(sandbox_id)


async def _to_its_end(work: Coroutine[object, object, None]) -> None:
    """Also when this task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
