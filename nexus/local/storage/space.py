"""How much disk the engine may use, and when it refuses to use more.

Ordinary file systems have no quota for a folder, so what is written is measured from time to time, and what would need
more room is refused with E2B's status for a full disk. Programs inside sandboxes meet no limit but the disk's own end:
the floor keeps new work away from it.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.local.errors import EngineError
from nexus.local.storage.layers import disk_usage

MEBIBYTE: Final = 1024 * 1024
_MEASURE_SECONDS: Final = 15.0
# A measurement may take at most this share of the time.
_LARGEST_SHARE: Final = 0.05


class NotEnoughSpaceError(EngineError):
    status = 507


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskLimits:
    """All in MiB. ``min_free_mb`` of the host's disk stay free; ``engine_mb`` is for all the engine keeps,
    ``sandbox_mb`` for what one sandbox writes; None is no limit."""

    min_free_mb: int = 512
    engine_mb: int | None = None
    sandbox_mb: int | None = None


class DiskSpace:
    """Says no before the disk is full. ``folders`` are what the engine keeps, ``home`` is on the disk in question."""

    def __init__(self, home: Path, folders: Sequence[Path], limits: DiskLimits) -> None:
        self._home = home
        self._folders = folders
        self.limits = limits
        self.used: int | None = None
        """Bytes the engine took when it was measured last; None when nothing asks for that."""

    def check(self, purpose: str) -> None:
        """Raises NotEnoughSpaceError when ``purpose`` ("start a sandbox") would take room that is not there."""
        free = shutil.disk_usage(self._home).free
        if not self.is_above_floor(free):
            raise NotEnoughSpaceError(
                f"not enough disk space to {purpose}: {free // MEBIBYTE} MiB are free, and the local engine leaves "
                f"{self.limits.min_free_mb} MiB of the disk alone; free some, or run `nexus local prune`"
            )
        limit = self.limits.engine_mb
        if limit is not None and self.used is not None and self.used > limit * MEBIBYTE:
            raise NotEnoughSpaceError(
                f"not enough disk space to {purpose}: the local engine takes {self.used // MEBIBYTE} MiB of the "
                f"{limit} MiB it may; kill sandboxes, delete templates, or run `nexus local prune`"
            )

    def is_above_floor(self, free: int | None = None) -> bool:
        """Whether the host's disk has more left than has to stay free; ``free`` if that is known already, in bytes."""
        free = shutil.disk_usage(self._home).free if free is None else free
        return free >= self.limits.min_free_mb * MEBIBYTE

    def is_over(self, written: int) -> bool:
        """Whether a sandbox that has ``written`` so many bytes is past its limit."""
        limit = self.limits.sandbox_mb
        return limit is not None and written > limit * MEBIBYTE

    async def measure(self) -> int:
        """Look through all folders, and remember their size in bytes."""
        self.used = await asyncio.to_thread(lambda: sum(map(disk_usage, self._folders)))
        return self.used

    async def keep_measuring(self) -> None:
        """Go on until cancelled; returns at once where there is no limit to watch."""
        while self.limits.engine_mb is not None:
            started = time.monotonic()
            await self.measure()
            took = time.monotonic() - started
            await asyncio.sleep(max(_MEASURE_SECONDS, took / _LARGEST_SHARE))
