"""What changes the state does so under its lock, and says whom the lock was taken from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from nexus.model.diagnostics import Diagnostic, warning
from nexus.stores import Backend, LockInfo


class Locking(Protocol):
    """The part of a session that this needs: the stores, and how a holder calls itself."""

    @property
    def backend(self) -> Backend: ...

    @property
    def holder(self) -> Callable[[str], LockInfo]: ...


@asynccontextmanager
async def locked(session: Locking, operation: str, patience: float = 0.0) -> AsyncIterator[Diagnostic | None]:
    """Hold the lock for ``operation``, waiting ``patience`` seconds for it. Yields what is to be told about it."""
    silent = await session.backend.lock.acquire(session.holder(operation), patience)
    try:
        await session.backend.states.fence()
        await session.backend.journal.fence()
        yield None if silent is None else _taken_over(silent)
    finally:
        await session.backend.lock.release()


def _taken_over(silent: LockInfo) -> Diagnostic:
    return warning(
        "lock-taken-over",
        "The lock was taken over from a run that has given no sign of life",
        detail=f"{silent.holder} (process {silent.pid}) was running «nexus {silent.operation}» since {silent.since}, "
        "and is suspended or hangs. Should it wake up, it will begin nothing new.",
    )
