"""Threads that carry out what they are given when a test says so, and in the order that it wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

Work = Callable[[], object]


class HeldThreads:
    """In the place of ``asyncio.to_thread``: nothing is done before the test lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._held: list[tuple[Work, asyncio.Future[object]]] = []
        self._is_over = False
        monkeypatch.setattr(asyncio, "to_thread", self._to_thread)

    def __len__(self) -> int:
        return len(self._held)

    async def settle(self) -> None:
        """Return when nobody does anything any more without one of these threads."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def finish(self, *tasks: asyncio.Task[object]) -> None:
        """Do all that is asked for until ``tasks`` have ended, what was asked for last at first; later, all at once."""
        await self.settle()
        while self._held:
            self.let_one(-1)
            await self.settle()
        self._is_over = True
        await asyncio.gather(*tasks)

    def let_one(self, position: int = 0) -> None:
        """Do what was asked for at that place in the order, also when nobody waits for it any more."""
        work, done = self._held.pop(position)
        try:
            result = work()
        except OSError as error:
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(result)

    async def _to_thread(self, work: Callable[..., object], *arguments: object, **options: object) -> object:
        if self._is_over:
            return work(*arguments, **options)
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._held.append((partial(work, *arguments, **options), done))
        return await done
