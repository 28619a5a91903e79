"""The lock as a document: who holds it, and a beat that its holder changes every few seconds.

A holder whose document has not changed for a lease, by the server's clock, can be replaced; one that ran on this very
machine and is no more, at once. The document stays when the lock is given back, and says that it is free: so that every
change of it replaces a known version, and of two who do it at once one is refused.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores.base import LockInfo
from nexus.stores.lock_messages import locked, lost, not_that_lock
from nexus.stores.remote.objects import ConflictError, Steadfast, Stored
from nexus.stores.remote.processes import has_ended, this_process

LEASE: Final = 60.0
"""Seconds after which a holder that gave no sign of life may be replaced."""

LOCK: Final = "lock"

_BEATS: Final = 4
"""Signs of life in one lease."""

_POLL: Final = 1.0
_GIVING_BACK: Final = 3.0
"""Seconds for which it is tried to give the lock back: it ends by itself."""


class HeldError(Exception):
    """The server knows of a holder that the document does not tell of."""

    def __init__(self, info: LockInfo) -> None:
        super().__init__(info.holder)
        self.info = info


class Book(Protocol):
    """The one document that a lock is kept in. Blocking; raises DiagnosticsError when the server can't be used."""

    def read(self) -> Stored | None: ...

    def write(self, content: bytes, expected: str | None) -> str:
        """Its new version. Raises ConflictError when it is not as expected, or HeldError."""

    def age(self) -> float | None:
        """Seconds since it was written, by the server's clock."""

    def hurried(self, patience: float) -> Book:
        """The same with less patience."""


class ObjectBook:
    """A lock in a document like any other."""

    def __init__(self, objects: Steadfast) -> None:
        self._objects = objects

    def read(self) -> Stored | None:
        return self._objects.get(LOCK)

    def write(self, content: bytes, expected: str | None) -> str:
        return self._objects.put(LOCK, content, expected)

    def age(self) -> float | None:
        return self._objects.age(LOCK)

    def hurried(self, patience: float) -> ObjectBook:
        return ObjectBook(self._objects.hurried(patience))


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What stands in the document. ``process`` says which process of which machine it is, for others on the same."""

    info: LockInfo
    held: bool = True
    beat: int = 0
    lease: float = LEASE
    process: str = ""

    def encode(self) -> bytes:
        data = {"held": self.held, "beat": self.beat, "lease": self.lease, "process": self.process}
        return json.dumps({**asdict(self.info), **data}).encode()


def decode(content: bytes) -> Note:
    """What stands there; what can't be read is held by someone unknown."""
    try:
        data = json.loads(content)
        info = LockInfo(
            holder=str(data["holder"]),
            pid=int(data["pid"]),
            operation=str(data["operation"]),
            since=str(data["since"]),
            id=str(data["id"]),
        )
        return Note(
            info=info,
            held=data["held"] is not False,
            beat=int(data["beat"]),
            lease=float(data["lease"]),
            process=str(data["process"]),
        )
    except (ValueError, KeyError, TypeError):
        return Note(info=LockInfo(holder="someone", pid=0, operation="apply", since=""))


class LeaseLock:
    """See :class:`nexus.stores.base.Lock`. ``lease`` in seconds."""

    def __init__(self, book: Book, lease: float = LEASE) -> None:
        self._book = book
        self._lease = lease
        self._holding: _Holding | None = None

    async def acquire(self, info: LockInfo, patience: float = 0.0) -> LockInfo | None:
        if self._holding is not None:
            raise DiagnosticsError(locked(await self.holder()))
        deadline = time.monotonic() + patience
        while True:
            there = await self._attempt(info)
            if self._holding is not None:
                return there
            if (left := deadline - time.monotonic()) <= 0:
                raise DiagnosticsError(locked(there))
            await asyncio.sleep(min(_POLL, left))

    async def verify(self) -> None:
        found = await asyncio.to_thread(self._book.read)
        note = None if found is None else decode(found.content)
        if self._holding is None or note is None or not note.held or note.info.id != self._holding.id:
            raise DiagnosticsError(lost(note.info if note is not None and note.held else None))

    async def release(self) -> None:
        holding, self._holding = self._holding, None
        if holding is not None:
            await asyncio.to_thread(holding.end)

    async def holder(self) -> LockInfo | None:
        found = await asyncio.to_thread(self._book.read)
        note = None if found is None else decode(found.content)
        return note.info if note is not None and note.held and not has_ended(note.process) else None

    async def break_open(self, lock_id: str | None) -> LockInfo | None:
        return await asyncio.to_thread(self._break_open, lock_id)

    async def _attempt(self, info: LockInfo) -> LockInfo | None:
        """As :meth:`_take`. When it is cancelled meanwhile, what was taken is given back."""
        attempt = asyncio.ensure_future(asyncio.to_thread(self._take, info))
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            with suppress(DiagnosticsError):
                await attempt
            await self.release()
            raise

    def _take(self, info: LockInfo) -> LockInfo | None:
        """Take it if it may be taken: whom it was taken from, then; who holds it, where it was not taken."""
        while True:
            there = self._book.read()
            before = None if there is None else decode(there.content)
            if before is not None and before.held and not self._is_silent(before):
                return before.info
            note = Note(info=info, lease=self._lease, process=this_process())
            try:
                version = self._book.write(note.encode(), None if there is None else there.version)
            except ConflictError:
                continue  # somebody else was faster: see who
            except HeldError as problem:
                return problem.info
            self._holding = _Holding(self._book, note, version)
            self._holding.start()
            hangs = before is not None and before.held and not has_ended(before.process)
            return before.info if before is not None and hangs else None

    def _is_silent(self, note: Note) -> bool:
        if has_ended(note.process):
            return True
        age = self._book.age()
        return age is not None and age > note.lease

    def _break_open(self, lock_id: str | None) -> LockInfo | None:
        while (there := self._book.read()) is not None:
            note = decode(there.content)
            if not note.held:
                return None
            if lock_id not in (None, note.info.id):
                raise DiagnosticsError(not_that_lock(str(lock_id), note.info))
            with suppress(ConflictError):
                self._book.write(replace(note, held=False).encode(), there.version)
                return note.info
        return None


class _Holding(threading.Thread):
    """One holding of the lock: says every few seconds that the holder is alive, even while its event loop waits."""

    def __init__(self, book: Book, note: Note, version: str) -> None:
        super().__init__(name="nexus-lease", daemon=True)
        self.id = note.info.id
        self._book = book
        self._note = note
        self._version = version
        self._turn = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._note.lease / _BEATS):
            try:
                self._beat()
            except ConflictError:
                return  # it was broken, or taken over: the next look at it tells
            except DiagnosticsError:
                continue  # the lease ends then, if anybody wants it

    def end(self) -> None:
        """Give it back, if the server can be told; otherwise its lease ends."""
        self._ended.set()
        if not self._turn.acquire(timeout=_GIVING_BACK):
            return
        try:
            free = replace(self._note, held=False)
            with suppress(DiagnosticsError, ConflictError):
                self._book.hurried(_GIVING_BACK).write(free.encode(), self._version)
        finally:
            self._turn.release()

    def _beat(self) -> None:
        with self._turn:
            if not self._ended.is_set():
                note = replace(self._note, beat=self._note.beat + 1)
                self._version = self._book.write(note.encode(), self._version)
                self._note = note
