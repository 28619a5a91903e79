"""An apply under way, for programs that watch it from their own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from nexus.model.events import Event
from nexus.workflows.applying import Applied, BindInterrupt

Begin = Callable[[Callable[[Event], None], BindInterrupt], Coroutine[Any, Any, Applied]]
"""Starts an apply that tells its events, and says what interrupts it."""


class Ongoing:
    """An apply, a destroy or a pipeline's run that is under way: its events in their order, for one reader.

    The iteration ends with the run. Events wait until they are read; the run does not wait for the reader.
    """

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._task: asyncio.Task[Applied] | None = None
        self._interrupt: Callable[[], None] | None = None
        self._is_interrupted = False
        self._is_told = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)  # for whoever asks again
            raise StopAsyncIteration
        return event

    async def result(self) -> Applied:
        """How it ended, once it has. Raises NexusError; ApplyError when some of it failed."""
        assert self._task is not None
        self._is_told = True
        return await asyncio.shield(self._task)

    def interrupt(self) -> None:
        """Begin nothing new and finish what is in flight, as Ctrl-C does; called again, cancel that too."""
        if self._interrupt is None:
            self._is_interrupted = True
        else:
            self._interrupt()

    def _tell(self, event: Event) -> None:
        self._events.put_nowait(event)

    def _bind(self, interrupt: Callable[[], None], /) -> None:
        self._interrupt = interrupt
        if self._is_interrupted:
            interrupt()

    async def _begin(self, begin: Begin) -> Applied:
        try:
            return await begin(self._tell, self._bind)
        finally:
            self._events.put_nowait(None)


@asynccontextmanager
async def under_way(begin: Begin) -> AsyncIterator[Ongoing]:
    """Begin, hand it out, and wait for its end. What is raised in the block cancels it first.

    Raises what it raised, unless :meth:`Ongoing.result` has told it already.
    """
    ongoing = Ongoing()
    task = ongoing._task = asyncio.create_task(ongoing._begin(begin))
    try:
        yield ongoing
        await asyncio.wait([task])
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)  # what comes of it matters less than what was raised here
        raise
    if not ongoing._is_told:
        task.result()
