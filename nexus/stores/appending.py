"""Group commit: entries that come while a write goes on share the next one, and each waits until its own is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.stores.entries import Entry
from nexus.stores.journalfile import entry_line

Write = Callable[[bytes], None]
"""Appends lines for good. Called in a thread, one call at a time. Raises DiagnosticsError when it can't."""


class Appender:
    """Appends to one journal that exists and holds only its header. Belongs to one event loop.

    After the first failure the journal's end can't be trusted: every later append fails with the same message.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nexus-journal")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._next, self._safe = 1, 0
        self._broken: tuple[Diagnostic, ...] = ()

    async def append(self, entry: Entry) -> None:
        """Returns once the entry is safe. It gets there even when the caller is cancelled meanwhile."""
        if self._broken:
            raise DiagnosticsError(self._broken)
        line = entry_line(entry, self._next, self._safe)
        self._next += 1
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((line, written))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await written

    async def close(self) -> None:
        """Waits for what is being written."""
        if self._flushing is not None:
            await self._flushing
        self._thread.shutdown()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            content = b"".join(line for line, _ in batch)
            try:
                await loop.run_in_executor(self._thread, self._write, content)
            except DiagnosticsError as problem:
                self._broken = tuple(problem.diagnostics)
                self._fail(batch, problem)
                return
            except BaseException as problem:  # whatever it is, nobody may wait for ever
                self._fail(batch, problem)
                raise
            self._safe += len(batch)
            _each(batch, lambda written: written.set_result(None))

    def _fail(self, batch: list[tuple[bytes, asyncio.Future[None]]], why: BaseException) -> None:
        _each([*batch, *self._waiting], lambda written: written.set_exception(why))
        self._waiting.clear()


def _each(batch: list[tuple[bytes, asyncio.Future[None]]], settle: Callable[[asyncio.Future[None]], None]) -> None:
    for _, written in batch:
        if not written.done():
            settle(written)
