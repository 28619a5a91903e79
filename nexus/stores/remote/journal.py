"""The journal as a chain of documents: a few kilobytes each, every write of one replaces it only if it is as known.

So a journal is appended to by its own run alone: whoever takes the lock fences it (:meth:`RemoteJournal.fence`), by
changing the document that the next entry would go to, and a run that lost its lock without knowing is refused there.
Entries that come while the server is busy share the next write.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, replace
from typing import Final

from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.stores.appending import Appender
from nexus.stores.base import Header, JournalContents
from nexus.stores.checks import check_start
from nexus.stores.entries import Entry
from nexus.stores.failures import damaged
from nexus.stores.journalfile import header_line, parse
from nexus.stores.remote.objects import ConflictError, Objects, Stored

JOURNAL: Final = "journal"

_PART: Final = 64 * 1024
"""Characters after which a part is full: every write sends a whole part, and every part is one more to be read."""

_HINT: Final = "«nexus state rebuild» finds again what it held"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One document. ``run`` is the same in all of one journal. ``fence`` changes when a journal is fenced.

    ``version`` None: it is not written yet.
    """

    run: str
    number: int = 0
    lines: str = ""
    fence: str = ""
    version: str | None = None

    @property
    def name(self) -> str:
        return JOURNAL if self.number == 0 else f"{JOURNAL}-{self.run}-{self.number}"

    @property
    def content(self) -> bytes:
        return json.dumps(
            {"run": self.run, "part": self.number, "fence": self.fence, "lines": self.lines}, ensure_ascii=False
        ).encode()

    def successor(self) -> _Part:
        """Where the next line goes to: itself, until it is full."""
        return self if len(self.lines) < _PART else _Part(run=self.run, number=self.number + 1)


class RemoteJournal:
    """See :class:`nexus.stores.base.Journal`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._appender: Appender | None = None
        self._tail: _Part | None = None

    async def read(self) -> JournalContents | None:
        parts = await asyncio.to_thread(self._parts)
        content = "".join(part.lines for part in parts).encode()
        return parse(content, self._objects.place) if parts else None

    async def start(self, header: Header) -> None:
        await self._close()
        check_start(await self.read(), header)
        self._tail = await asyncio.to_thread(self._begin, header)
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
        parts: list[_Part] = []
        first = self._objects.get(JOURNAL)
        if first is None:
            return parts
        parts.append(self._decoded(first, JOURNAL))
        while True:
            name = replace(parts[-1], number=parts[-1].number + 1).name
            found = self._objects.get(name)
            if found is None:
                return parts
            parts.append(self._decoded(found, name))

    def _begin(self, header: Header) -> _Part:
        there = self._objects.get(JOURNAL)
        part = _Part(run=uuid.uuid4().hex[:12], lines=header_line(header).decode())
        try:
            version = self._objects.put(JOURNAL, part.content, None if there is None else there.version)
        except ConflictError:
            raise DiagnosticsError(_fenced()) from None
        return replace(part, version=version)

    def _write(self, lines: bytes) -> None:
        assert self._tail is not None
        tail = self._tail.successor()
        tail = replace(tail, lines=tail.lines + lines.decode())
        try:
            self._tail = replace(tail, version=self._objects.put(tail.name, tail.content, tail.version))
        except ConflictError:
            raise DiagnosticsError(_fenced()) from None

    def _fence(self) -> None:
        while parts := self._parts():
            tail = replace(parts[-1].successor(), fence=uuid.uuid4().hex)
            try:
                self._objects.put(tail.name, tail.content, tail.version)
            except ConflictError:
                continue  # the other one was faster by one entry: that is to be read as well
            return

    def _clear(self) -> None:
        # From its end, so that what a crash leaves is a journal, and not parts that nobody would find.
        self._objects.remove([part.name for part in reversed(self._parts())])

    def _set_aside(self) -> str | None:
        first = self._objects.get(JOURNAL)
        if first is None:
            return None
        name = f"{JOURNAL}-aside-{uuid.uuid4().hex[:12]}"
        try:
            parts = self._parts()
            content, names = "".join(part.lines for part in parts).encode(), [part.name for part in reversed(parts)]
        except DiagnosticsError:
            content, names = first.content, [JOURNAL]
        self._objects.put(name, json.dumps({"lines": content.decode(errors="replace")}).encode(), None)
        self._objects.remove(names)
        return f"{self._objects.place}/{name}"

    def _decoded(self, found: Stored, name: str) -> _Part:
        try:
            match json.loads(found.content):
                case {"run": str(run), "part": int(number), "fence": str(fence), "lines": str(lines)}:
                    return _Part(run=run, number=number, fence=fence, lines=lines, version=found.version)
        except ValueError:
            pass
        raise damaged(f"{self._objects.place}/{name}", "it is not a part of a journal", _HINT)

    async def _close(self) -> None:
        appender, self._appender = self._appender, None
        if appender is not None:
            await appender.close()


def _fenced() -> Diagnostic:
    return error(
        "lock-lost",
        "The lock was lost",
        detail="Another run has taken over the journal. Nothing new was begun from then on.",
        hint="run the command again: what was done is in the journal, or is found by the marks on what was made",
    )
