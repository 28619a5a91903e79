"""Output of one process on its way to any number of listeners.

Nothing is kept for later listeners, and with none the output is thrown away. A listener that reads too slowly makes the
source pause, which holds back the other listeners and in the end the process: memory stays bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

OutputKind = Literal["stdout", "stderr", "pty"]

_PAUSE_ABOVE = 256 * 1024
_RESUME_BELOW = 64 * 1024


@dataclass(frozen=True, slots=True)
class Output:
    """One piece of output."""

    kind: OutputKind
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process ended. ``exit_code`` is -1 when a signal ended it."""

    exit_code: int
    exited: bool
    status: str

    @property
    def error(self) -> str | None:
        return None if self.exited and self.exit_code == 0 else self.status


class Listener:
    """One reader of a :class:`Broadcast`; close it when done."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._events: deque[Output | Ended] = deque()
        self._arrived = asyncio.Event()
        self.buffered = 0

    async def next(self) -> Output | Ended:
        """The next event; waits for one. Safe to cancel."""
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        if isinstance(event, Output):
            self.buffered -= len(event.data)
            self._broadcast.settle()
        return event

    def push(self, event: Output | Ended) -> None:
        self._events.append(event)
        if isinstance(event, Output):
            self.buffered += len(event.data)
        self._arrived.set()

    def close(self) -> None:
        self._broadcast.remove(self)


class Broadcast:
    """Fans events out to listeners; calls ``pause`` and ``resume`` of the source as the slowest one demands."""

    def __init__(self, *, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause = pause
        self._resume = resume
        self._paused = False
        self._listeners: set[Listener] = set()

    def listen(self) -> Listener:
        listener = Listener(self)
        self._listeners.add(listener)
        return listener

    def remove(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        self.settle()

    def publish(self, event: Output | Ended) -> None:
        for listener in self._listeners:
            listener.push(event)
        self.settle()

    def settle(self) -> None:
        """Pause or resume the source according to the fullest listener."""
        fullest = max((listener.buffered for listener in self._listeners), default=0)
        if not self._paused and fullest > _PAUSE_ABOVE:
            self._paused = True
            self._pause()
        elif self._paused and fullest < _RESUME_BELOW:
            self._paused = False
            self._resume()
