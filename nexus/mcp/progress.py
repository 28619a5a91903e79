"""Progress notifications: told at once by whatever works, sent in order without ever holding it up."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

import anyio

from nexus.mcp.results import plain_console
from nexus.model.events import ApplyStarted, Event, OperationFinished, OperationProgress
from nexus.render.diagnostics import ReadSource
from nexus.render.progress import Progress as Narration

Send = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends how much is done, of how much, and what is going on. Does nothing where the client did not ask for it."""

_LONGEST: Final = 4000
_MOMENT: Final = 0.05
_STEP: Final = 0.001
"""The least by which progress grows with each notification: the protocol wants every one above the last."""


class Progress:
    """Used as an asynchronous context: what was told last is sent before it ends."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._told = ""
        self._done = 0.0
        self._total: float | None = None
        self._sent = 0.0
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def say(self, line: str) -> None:
        """A sentence about what is going on."""
        self.write(f"{line}\n")

    def write(self, text: str) -> None:
        """Something that was written out there, as it came."""
        if text:
            self._told = (self._told + text)[-_LONGEST:]
            self._news.set()

    def expect(self, total: float) -> None:
        self._total = total

    def advance(self) -> None:
        """One more of what is expected is done."""
        self._done += 1
        self._news.set()

    async def __aenter__(self) -> Progress:
        self._task = asyncio.create_task(self._send_news())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._ended.set()
        self._news.set()
        if kind is not None:
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _send_news(self) -> None:
        while not self._ended.is_set():
            await self._news.wait()
            await self._gather()
            self._news.clear()
            text, self._told = self._told.rstrip("\n"), ""
            if text or self._done > self._sent:
                self._sent = round(max(self._sent + _STEP, self._done), 3)
                with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # the client has gone
                    await self._send(self._sent, self._total, text or None)

    async def _gather(self) -> None:
        """Programs write in bits and pieces: what comes within a moment is told at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT):
                await self._ended.wait()


class Narrator:
    """A sink for a run: the text that a person would see, and each part of it as progress."""

    def __init__(self, progress: Progress, read_source: ReadSource) -> None:
        self._page = io.StringIO()
        self._narration = Narration(plain_console(self._page), read_source)
        self._progress = progress

    def __call__(self, event: Event) -> None:
        before = self._page.tell()
        self._narration(event)
        self._progress.write(self._page.getvalue()[before:].lstrip("\n"))
        match event:
            case ApplyStarted(operations=count):
                self._progress.expect(count)
            case OperationFinished():
                self._progress.advance()
            case OperationProgress(operation=operation, message=message):
                self._progress.say(f"{operation.address}: {message}")
            case _:
                pass

    @property
    def text(self) -> str:
        """All that was told so far."""
        return self._page.getvalue().rstrip()
