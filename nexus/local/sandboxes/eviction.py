"""Ends sandboxes when their time is up: one task that sleeps until the next one is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from nexus.local.clock import Clock
from nexus.local.sandboxes.fleet import Fleet, LiveSandbox

# Without anything due the evictor looks up this seldom; every change of a lifetime wakes it anyway.
_IDLE = 3600.0

_log = logging.getLogger(__name__)


class Evictor:
    """Calls ``expire`` once for every sandbox whose end has come."""

    def __init__(self, fleet: Fleet, clock: Clock, expire: Callable[[LiveSandbox], Awaitable[None]]) -> None:
        self._fleet = fleet
        self._clock = clock
        self._expire = expire
        self._changed = asyncio.Event()
        self._ending: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Some lifetime has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            while True:
                self._changed.clear()
                self._end_due()
                await self._sleep_until_due()
        finally:
            for task in self._ending.values():
                task.cancel()

    def _end_due(self) -> None:
        now = self._clock.now()
        for live in self._candidates():
            if live.record.end_at <= now:
                task = asyncio.create_task(self._end(live), name=f"expire-{live.id}")
                self._ending[live.id] = task

    async def _end(self, live: LiveSandbox) -> None:
        try:
            await self._expire(live)
        except Exception:
            _log.exception("sandbox %s could not be ended", live.id)
            # Not at once again: whatever stands in the way needs a moment.
            await self._clock.sleep(1.0)
        finally:
            self._ending.pop(live.id, None)
            self.wake()

    async def _sleep_until_due(self) -> None:
        due = asyncio.create_task(self._clock.sleep(self._until_next()))
        changed = asyncio.create_task(self._wait_for_change())
        waiting: set[asyncio.Task[None]] = {due, changed}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _wait_for_change(self) -> None:
        await self._changed.wait()

    def _until_next(self) -> float:
        ends: list[datetime] = [live.record.end_at for live in self._candidates()]
        return min((min(ends) - self._clock.now()).total_seconds(), _IDLE) if ends else _IDLE

    def _candidates(self) -> list[LiveSandbox]:
        return [
            live for live in self._fleet if live.is_running and live.transition is None and live.id not in self._ending
        ]
