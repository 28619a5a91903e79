"""Time that passes when the test says so, or as soon as everyone waits for it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta


class ManualClock:
    """Begins at a fixed moment. With ``run`` time jumps to the next waking whenever nothing else is left to do."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._seconds + seconds, next(self._numbers), woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Let time pass, waking whoever is due."""
        self._seconds += seconds
        while self._sleepers and self._sleepers[0][0] <= self._seconds + 1e-9:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    async def run(self) -> None:
        """Jump from waking to waking for as long as the test lasts; meant to be a task beside the one under test."""
        while True:
            for _ in range(20):  # whoever is not waiting for time gets to its next wait first
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if self._sleepers:
                self.advance(self._sleepers[0][0] - self._seconds)
