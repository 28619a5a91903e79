"""Group commit: entries that come while the disk is busy share the next write, and each waits until its own is safe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.stores.entries import Entry
from nexus.stores.failures import explain
from nexus.stores.files import Files
from nexus.stores.journalfile import entry_line


class Appender:
    """Appends to one journal that exists and holds only its header. Belongs to one event loop.

    After the first failure the file's end can't be trusted: every later append fails with the same message.
    """

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path
        self._descriptor = files.open_append(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nexus-journal")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._next, self._safe = 1, 0
        self._broken: Diagnostic | None = None

    async def append(self, entry: Entry) -> None:
        """Returns once the entry is on the disk. It gets there even when the caller is cancelled meanwhile."""
        if self._broken is not None:
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
        with suppress(OSError):
            os.close(self._descriptor)

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            content = b"".join(line for line, _ in batch)
            try:
                await loop.run_in_executor(self._thread, self._files.append, self._descriptor, content)
            except OSError as problem:
                self._broken = explain(problem, "write the journal", self._path)
                self._fail(batch, DiagnosticsError(self._broken))
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
