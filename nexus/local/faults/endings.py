"""Sandboxes that end under their clients: what ``vanish`` and ``expire`` do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from nexus.local.errors import EngineError
from nexus.local.faults.model import Action, FaultRule

# Kept while they wait: the loop alone does not hold its tasks.
_pending: set[asyncio.Task[None]] = set()


class Ending(Protocol):
    """Ends sandboxes; both do nothing to one that is not there."""

    async def vanish(self, sandbox_id: str) -> None:
        """Kill it at once, whatever its lifecycle says."""

    async def expire(self, sandbox_id: str) -> None:
        """Let its time be up now: it is killed or paused as its lifecycle says."""


@contextlib.asynccontextmanager
async def ending(rule: FaultRule, sandbox_id: str, end: Ending) -> AsyncIterator[None]:
    """The sandbox ends ``rule.milliseconds`` after the block has begun; without any, before it begins."""
    if rule.milliseconds == 0:
        await end_now(rule, sandbox_id, end)
        yield
        return
    later = asyncio.create_task(_end_later(rule, sandbox_id, end))
    try:
        yield
    finally:
        # The sandbox ends when it was said to, also when the request was answered before.
        if not later.done():
            _pending.add(later)
            later.add_done_callback(_pending.discard)


async def end_now(rule: FaultRule, sandbox_id: str, end: Ending) -> None:
    with contextlib.suppress(EngineError):
        await (end.vanish(sandbox_id) if rule.action is Action.VANISH else end.expire(sandbox_id))


async def _end_later(rule: FaultRule, sandbox_id: str, end: Ending) -> None:
    await asyncio.sleep(rule.seconds)
    await end_now(rule, sandbox_id, end)
