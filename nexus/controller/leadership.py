"""One controller for each environment: whoever holds its lease, which is a lock of the state store beside the state's.

The lease ends with the process that holds it, or once it gave no sign of life for as long as the store says. Its
holder verifies it before each look. It only spares double work: what keeps two applies apart is the state's own lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores import Lock, LockInfo

LEASE: Final = "controller"
"""What the lease of an environment is called, beside its state."""

_HELD = "state-locked"
_LOST = "lock-lost"


class Leadership:
    """The lease of one environment. ``info`` makes the note that says who holds it."""

    def __init__(self, lock: Lock, info: Callable[[str], LockInfo]) -> None:
        self._lock = lock
        self._info = info
        self._is_held = False
        self.leader = ""
        """Who holds it where we don't, as user@host."""

    async def hold(self) -> bool:
        """Whether we lead from now on. Raises DiagnosticsError when that can't be told."""
        if self._is_held and await self._is_still_ours():
            return True
        try:
            await self._lock.acquire(self._info("reconcile"))
        except DiagnosticsError as problem:
            if not _is_about(problem, _HELD):
                raise
            holder = await self._lock.holder()
            self.leader = "" if holder is None else f"{holder.holder} (process {holder.pid})"
            return False
        self._is_held = True
        self.leader = ""
        return True

    async def give_up(self) -> None:
        """Let another one lead. Does nothing where we don't."""
        if self._is_held:
            self._is_held = False
            await self._lock.release()

    async def _is_still_ours(self) -> bool:
        try:
            await self._lock.verify()
        except DiagnosticsError as problem:
            if not _is_about(problem, _LOST):
                raise
            await self.give_up()
            return False
        return True


def _is_about(problem: DiagnosticsError, code: str) -> bool:
    return any(item.code == code for item in problem.diagnostics)
