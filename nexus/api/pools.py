"""Warm pools of a project: take a sandbox that stands ready, see how the pools stand, end what was taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nexus.api.account import AsyncLive
from nexus.api.changing import AsyncChanging
from nexus.api.remembered import AsyncRemembered
from nexus.executor import SystemClock
from nexus.model.addresses import Address
from nexus.model.pools import PoolStanding
from nexus.model.state import ResourceRecord
from nexus.wiring import new_id, stores_over
from nexus.workflows import pools, taking
from nexus.workflows.taking import Around, PoolEmptyError, TakenSandbox, Wish

LOCK_PATIENCE: Final = 300.0
"""Seconds for others who take to be done, or for an apply to end, if nothing else is said."""

_GLANCE: Final = 1.0
"""Seconds between two looks at a pool that is waited for."""


class AsyncPools(AsyncChanging, AsyncLive, AsyncRemembered):
    """A part of :class:`AsyncProject`."""

    async def take(
        self,
        pool: str | Address,
        *,
        lifetime: int | None = None,
        purpose: str = "",
        wait: float = 0.0,
        create: bool = False,
        lock_timeout: float = LOCK_PATIENCE,
    ) -> TakenSandbox:
        """Take a sandbox that stands ready out of a pool, such as ``agent``. It is the caller's own from then on.

        It lives for ``lifetime`` seconds, the block's timeout if not said; the next apply makes another in its place.
        ``purpose`` is shown beside who took it. Where none is ready, ``wait`` is for how many seconds to wait for one;
        ``create`` fills the pool at once, as an apply of that block alone does. Raises PoolEmptyError where there is
        none in the end, and NexusError when the state's lock can't be had for ``lock_timeout`` seconds.
        """
        address = taking.pool_named(self._loaded, str(pool))
        wish = Wish(pool=address, lifetime=lifetime, purpose=purpose, patience=lock_timeout)
        async with self._grounds.open() as ground:
            around = Around(
                stores=stores_over(self._open()),
                operator=ground.operator,
                account=await ground.connected.identity(),
                clock=SystemClock(),
                ids=new_id,
            )
            try:
                return await taking.take(self._loaded, around, wish)
            except PoolEmptyError:
                if not create and not wait:
                    raise
            if create:
                await self.apply(targets=[address], lock_timeout=lock_timeout)
            return await taking.take_when_ready(self._loaded, around, wish, wait, _GLANCE)

    async def pools(self) -> Sequence[PoolStanding]:
        """The pools that the manifest declares: what stands ready in them, and who has what was taken."""
        state = await self.state()
        async with self._grounds.open() as ground:
            return await pools.standings(self._loaded, state, ground.operator)

    async def end_taken(self, name: str, *, lock_timeout: float = LOCK_PATIENCE) -> ResourceRecord:
        """End a sandbox that was taken, by its id or address, before its time. No pool takes a used one back.

        What becomes of it is as its block says (``lifecycle.on_destroy``). Raises NexusError for any other sandbox.
        """
        record = pools.taken_named(await self.state(), name)
        await self.destroy(targets=[record.address], lock_timeout=lock_timeout)
        return record
