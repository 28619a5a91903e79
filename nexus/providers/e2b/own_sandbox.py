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
from nexus.providers.base import LEASE_SECONDS, Call, LimitReached, TooFast
from nexus.providers.e2b.errors import translate
from nexus.providers.e2b.inside import Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.metadata import OPERATION, PREFIX, scope
from nexus.providers.e2b.renewing import renewed
from nexus.providers.e2b.sandbox.lifecycle import make, own_volume_roots
from nexus.providers.e2b.world import World

STEP: Final = f"{PREFIX}step"
_ROOM_SOON: Final = 2.0
"""Seconds after which it is looked again whether an account that was full has room."""


class OwnSandboxes:
    """Makes them, and knows how many there are: these end by themselves, so a full account is worth waiting for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._alive = 0
        self._coming = 0
        self._settled = asyncio.Event()

    @asynccontextmanager
    async def one(self, call: Call, spec: SandboxSpec) -> AsyncIterator[Inside]:
        """A sandbox for as long as the block lasts, however that ends."""
        inside = await self._made(call, spec)
        try:
            with renewed(self._world, inside.id):
                if spec.volumes:
                    await own_volume_roots(inside, spec)
                yield inside
        finally:
            self._world.sandboxes.forget(inside.id)
            await _to_its_end(_kill(self._world, inside.id))
            self._alive -= 1

    async def _made(self, call: Call, spec: SandboxSpec) -> Inside:
        marks = {**scope(call.project, call.environment), STEP: str(call.address), OPERATION: call.key}
        # Another key for each: a repeated one would be answered with the sandbox that was killed.
        key, template = f"{call.key}-{new_token()}", spec.template
        self._coming += 1
        try:
            sandbox = await make(
                self._world, call, spec, template=template, lease=LEASE_SECONDS, key=key, own_marks=marks
            )
            self._alive += 1
        except Exception as problem:
            failure = translate(problem, str(call.address))
        else:
            return self._world.sandboxes.adopt(sandbox, str(call.address))
        finally:
            self._coming -= 1
            self._settled.set()
        if isinstance(failure, LimitReached) and await self._others():
            failure = TooFast(failure.diagnostic, retry_after=_ROOM_SOON)
        raise failure

    async def _others(self) -> int:
        """How many there are, once it is known of those that are being made."""
        while self._coming:
            self._settled.clear()
            await self._settled.wait()
        return self._alive


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
