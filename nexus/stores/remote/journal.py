"""The journal as a chain of documents: a few kilobytes each, every write of one replaces it only if it is as known.

So a journal belongs to its own run alone: whoever takes the lock fences it (:mod:`nexus.stores.remote.fencing`), by
changing its first document, and the one that the next entry would go to. A run that lost its lock without knowing can't
begin, continue or clear a journal any more. Entries that come while the server is busy share the next write.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores.appending import Appender
from nexus.stores.base import Header, JournalContents
from nexus.stores.checks import check_start
from nexus.stores.entries import Entry
from nexus.stores.failures import damaged, is_unreadable
from nexus.stores.journalfile import header_line, parse
from nexus.stores.lock_messages import fenced_off
from nexus.stores.remote.fencing import Fenced, new_fence
from nexus.stores.remote.objects import ConflictError, Objects, Stored

JOURNAL: Final = "journal"

_PART: Final = 64 * 1024
"""Characters after which a part is full: every write sends a whole part, and every part is one more to be read."""

_HINT: Final = "«nexus state rebuild» finds again what it held"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One document. ``run`` is the same in all of one journal. ``fence`` changes when a journal is fenced.

    ``parts``: the first one tells how many there are. ``version`` None: it is not written yet.
    """

    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    number: int = 0
    lines: str = ""
    fence: str = ""
    parts: int = 1
    version: str | None = None

    @property
    def name(self) -> str:
        return JOURNAL if self.number == 0 else f"{JOURNAL}-{self.run}-{self.number}"

    @property
    def content(self) -> bytes:
        data = {"run": self.run, "part": self.number, "parts": self.parts, "fence": self.fence, "lines": self.lines}
        return json.dumps(data, ensure_ascii=False).encode()

    def successor(self) -> _Part:
        """Where the next line goes to: itself, until it is full."""
        number = self.number + 1
        return self if len(self.lines) < _PART else _Part(run=self.run, number=number, parts=number + 1)


class RemoteJournal:
    """See :class:`nexus.stores.base.Journal`.

    ``is_guarded``: the server has no conditional writes, but keeps the first document from who does not hold its lock.
    """

    def __init__(self, objects: Objects, *, is_guarded: bool = False) -> None:
        self._objects = objects
        self._is_guarded = is_guarded
        self._first = Fenced(objects, JOURNAL)
        self._appender: Appender | None = None
        self._head = self._tail = _Part()

    async def read(self) -> JournalContents | None:
        return self._contents(await asyncio.to_thread(self._parts))

    async def start(self, header: Header) -> None:
        await self._close()
        spent = await asyncio.to_thread(self._parts)
        check_start(self._contents(spent), header)
        self._head = self._tail = await asyncio.to_thread(self._begin, header, spent)
        self._appender = Appender(self._write)

    async def append(self, entry: Entry) -> None:
        if self._appender is None:
            raise RuntimeError("the journal was not started")
        await self._appender.append(entry)

    async def clear(self) -> None:
        await self._close()
        await asyncio.to_thread(self._clear)

    async def set_aside(self) -> str | None:
        await self._close()
        return await asyncio.to_thread(self._set_aside)

    async def fence(self) -> None:
        await asyncio.to_thread(self._fence)

    # ---- in a thread

    def _parts(self) -> list[_Part]:
        while True:
            first = self._first.get()
            if first is None or not first.content:
                return []
            head = self._decoded(first, JOURNAL)
            names = [replace(head, number=number).name for number in range(1, head.parts)]
            found = [self._objects.get(name) for name in names]
            if None in found and self._objects.version(JOURNAL) != first.version:
                continue  # it was cleared at this moment
            return [head, *(self._decoded(part, name) for part, name in zip(found, names, strict=True))]

    def _contents(self, parts: list[_Part]) -> JournalContents | None:
        return parse("".join(part.lines for part in parts).encode(), self._objects.place) if parts else None

    def _begin(self, header: Header, spent: list[_Part]) -> _Part:
        part = _Part(lines=header_line(header).decode())
        try:
            version = self._first.overwrite(part.content)
        except ConflictError:
            raise DiagnosticsError(fenced_off()) from None
        self._remove(spent[1:])
        return replace(part, version=version)

    def _write(self, lines: bytes) -> None:
        tail = self._tail.successor()
        tail = replace(tail, lines=tail.lines + lines.decode())
        try:
            if tail.number == 0:
                self._head = self._tail = replace(tail, version=self._first.put(tail.content, tail.version))
                return
            self._tail = replace(tail, version=self._objects.put(tail.name, tail.content, tail.version))
            # One more part counts once the first one tells of it, which is ours or not.
            if tail.parts > self._head.parts or self._is_guarded:
                head = replace(self._head, parts=tail.parts)
                self._head = replace(head, version=self._first.put(head.content, head.version))
        except ConflictError:
            raise DiagnosticsError(fenced_off()) from None

    def _fence(self) -> None:
        self._first.fence(self._changed)
        while (tail := self._last()) is not None and tail.number > 0:
            with suppress(ConflictError):  # the other one was faster by one entry: that is to be read as well
                self._objects.put(tail.name, replace(tail, fence=new_fence()).content, tail.version)
                return

    def _last(self) -> _Part | None:
        try:
            parts = self._parts()
        except DiagnosticsError as problem:
            if not is_unreadable(problem):
                raise
            return None
        return parts[-1] if parts else None

    def _changed(self, first: bytes, fence: str) -> bytes:
        return replace(self._decoded(Stored(first, ""), JOURNAL), fence=fence).content

    def _clear(self) -> None:
        if parts := self._parts():
            self._empty(parts[0].version, parts[1:])

    def _empty(self, version: str | None, rest: list[_Part]) -> None:
        """Leave nothing of it, unless it is another one's by now."""
        if self._first.is_ours(version):
            with suppress(ConflictError):
                self._first.empty(version)
                self._remove(rest)

    def _remove(self, parts: list[_Part]) -> None:
        self._objects.remove([part.name for part in reversed(parts)])

    def _set_aside(self) -> str | None:
        try:
            first = self._first.get()
        except DiagnosticsError as problem:
            if not is_unreadable(problem):
                raise
            self._empty(self._objects.version(JOURNAL), [])  # what can't even be opened can't be kept either
            return None
        if first is None or not first.content:
            return None
        try:
            parts = self._parts()
            content, rest = "".join(part.lines for part in parts), parts[1:]
        except DiagnosticsError:
            content, rest = first.content.decode(errors="replace"), []
        name = f"{JOURNAL}-aside-{uuid.uuid4().hex[:12]}"
        self._objects.put(name, json.dumps({"lines": content}).encode(), None)
        self._empty(first.version, rest)
        return f"{self._objects.place}/{name}"

    def _decoded(self, found: Stored | None, name: str) -> _Part:
        if found is None:
            raise damaged(f"{self._objects.place}/{name}", "this part of the journal is not there", _HINT)
        try:
            match json.loads(found.content):
                case {
                    "run": str(run),
                    "part": int(number),
                    "parts": int(parts),
                    "fence": str(fence),
                    "lines": str(lines),
                }:
                    version = found.version
                    return _Part(run=run, number=number, parts=parts, fence=fence, lines=lines, version=version)
        except ValueError:
            pass
        raise damaged(f"{self._objects.place}/{name}", "it is not a part of a journal", _HINT)

    async def _close(self) -> None:
        appender, self._appender = self._appender, None
        if appender is not None:
            await appender.close()
