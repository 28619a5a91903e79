"""Stores that end with the process: for tests, and for what is not to be remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from nexus.model.diagnostics import DiagnosticsError
from nexus.model.runs import Run, RunEntry, RunHead, RunSummary, run_of
from nexus.model.state import State
from nexus.stores.base import Backend, Header, JournalContents, LockInfo, StateVersion
from nexus.stores.checks import Version, check_start, check_write
from nexus.stores.durations import Durations
from nexus.stores.entries import Entry
from nexus.stores.lock_messages import locked, lost, not_that_lock


@dataclass(slots=True)
class MemoryRun:
    """One run as it is taken down."""

    head: RunHead
    entries: list[RunEntry] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)

    def note(self, entry: RunEntry) -> None:
        self.entries.append(entry)

    def write(self, operation_id: str, text: str) -> None:
        self.logs.setdefault(operation_id, []).append(text)

    def close(self) -> None:
        """There is nothing to give back."""


@dataclass(slots=True)
class Memory:
    """What is kept. Several backends over one Memory see the same, as processes see the same files."""

    state: State | None = None
    header: Header | None = None
    entries: list[Entry] = field(default_factory=list)
    lock: LockInfo | None = None
    aside: JournalContents | None = None
    durations: Durations = field(default_factory=Durations)
    runs: dict[str, MemoryRun] = field(default_factory=dict)
    versions: list[State] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def backend(self) -> Backend:
        return Backend(
            MemoryStateStore(self),
            MemoryJournal(self),
            MemoryLock(self),
            MemoryDurations(self),
            MemoryRuns(self),
            MemoryVersions(self),
        )


def memory_backend() -> Backend:
    return Memory().backend()


class MemoryStateStore:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def read(self) -> State | None:
        return self._memory.state

    async def write(self, state: State, expected_serial: int | None) -> None:
        there = self._memory.state
        if expected_serial is not None:
            version = Version() if there is None else Version(there.lineage, there.serial)
            check_write(version, Version(state.lineage, expected_serial))
        if there is not None:
            self._memory.versions.append(there)
        self._memory.state = state

    async def fence(self) -> None:
        """There is nothing to do: nothing comes between a look at the lock and a write."""


class MemoryJournal:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def read(self) -> JournalContents | None:
        header = self._memory.header
        return None if header is None else JournalContents(header, tuple(self._memory.entries))

    async def start(self, header: Header) -> None:
        check_start(await self.read(), header)
        self._memory.header = header
        self._memory.entries = []

    async def append(self, entry: Entry) -> None:
        if self._memory.header is None:
            raise RuntimeError("the journal was not started")
        self._memory.entries.append(entry)

    async def clear(self) -> None:
        self._memory.header = None
        self._memory.entries = []

    async def set_aside(self) -> str | None:
        if self._memory.header is None:
            return None
        self._memory.aside = JournalContents(self._memory.header, tuple(self._memory.entries))
        await self.clear()
        return "memory"

    async def fence(self) -> None:
        """There is nothing to do, as with the state."""


class MemoryVersions:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def list(self) -> Sequence[StateVersion]:
        return [StateVersion(state.serial, state.lineage) for state in reversed(self._memory.versions)]

    async def read(self, version: StateVersion) -> State | None:
        found = (item for item in self._memory.versions if StateVersion(item.serial, item.lineage) == version)
        return next(found, None)

    async def clear(self) -> None:
        self._memory.versions.clear()


class MemoryDurations:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def read(self) -> Durations:
        return self._memory.durations

    async def write(self, durations: Durations) -> None:
        self._memory.durations = durations


class MemoryRuns:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def begin(self, head: RunHead) -> MemoryRun:
        found = self._memory.runs[head.id] = MemoryRun(head)
        return found

    async def list(self) -> Sequence[RunSummary]:
        found = [run_of(item.head, tuple(item.entries)).summary for item in self._memory.runs.values()]
        return sorted(found, key=lambda item: (item.head.started_at, item.head.id), reverse=True)

    async def read(self, run_id: str) -> Run | None:
        found = self._memory.runs.get(run_id)
        return None if found is None else run_of(found.head, tuple(found.entries))

    async def log(self, run_id: str, operation_id: str) -> str:
        found = self._memory.runs.get(run_id)
        lines = [] if found is None else found.logs.get(operation_id, [])
        return "".join(f"{line}\n" for line in lines)


class MemoryLock:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._mine: LockInfo | None = None

    async def acquire(self, info: LockInfo, patience: float = 0.0) -> LockInfo | None:
        try:
            async with asyncio.timeout(patience):
                while self._memory.lock is not None:
                    self._memory.released.clear()
                    await self._memory.released.wait()
        except TimeoutError:
            raise DiagnosticsError(locked(self._memory.lock)) from None
        self._memory.lock = self._mine = info
        return None

    async def verify(self) -> None:
        if self._mine is None or self._memory.lock is not self._mine:
            raise DiagnosticsError(lost(self._memory.lock))

    async def release(self) -> None:
        if self._mine is not None and self._memory.lock is self._mine:
            self._memory.lock = None
            self._memory.released.set()
        self._mine = None

    async def holder(self) -> LockInfo | None:
        return self._memory.lock

    async def break_open(self, lock_id: str | None) -> LockInfo | None:
        info = self._memory.lock
        if info is not None and lock_id not in (None, info.id):
            raise DiagnosticsError(not_that_lock(str(lock_id), info))
        self._memory.lock = None
        self._memory.released.set()
        return info
