"""Uploaded build contexts: one archive per files hash, shared by all templates."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from nexus.local.documents import clear_leftovers, sync_folder
from nexus.local.errors import InvalidRequestError, TooLargeError
from nexus.local.storage.space import DiskSpace

MAX_ARCHIVE = 2 * 1024**3
# Between the link for an upload and the build that uses it there may be as long as the link is good for.
_RECENT_SECONDS = 3600
_HASH = re.compile(r"[0-9a-f]{64}")


class ArchiveStore:
    def __init__(self, folder: Path, space: DiskSpace, limit: int = MAX_ARCHIVE) -> None:
        self._folder = folder
        self._space = space
        self._limit = limit

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(self._folder)

    def find(self, files_hash: str) -> Path | None:
        """The archive, which a build is going to use: it is as good as new."""
        path = self._folder / check_hash(files_hash)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    async def prune(self, *, only_old: bool) -> int:
        """Remove the archives; with ``only_old`` those that no build has asked for lately. Returns their bytes."""
        before = time.time() - _RECENT_SECONDS
        freed, aside = 0, []
        # No await before the last of them is out of sight: whoever is told afterwards that one is there will find it.
        for path in [path for path in self._folder.iterdir() if _HASH.fullmatch(path.name)]:
            status = path.stat()
            if not only_old or status.st_mtime < before:
                aside.append(path.rename(path.with_name(f".{path.name}.pruned.tmp")))
                freed += status.st_blocks * 512
        await asyncio.to_thread(_unlink_all, aside)
        return freed

    async def store(self, files_hash: str, pieces: AsyncIterator[bytes]) -> None:
        """Keep an upload, whole or not at all. Raises TooLargeError past the limit, NotEnoughSpaceError."""
        self._space.check("keep an upload")
        target = self._folder / check_hash(files_hash)
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                size = 0
                async for piece in pieces:
                    size += len(piece)
                    if size > self._limit:
                        raise TooLargeError(f"a build context may have {self._limit} bytes at most")
                    await asyncio.to_thread(file.write, piece)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        await asyncio.to_thread(sync_folder, self._folder)


def _unlink_all(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def check_hash(text: str) -> str:
    if _HASH.fullmatch(text) is None:
        raise InvalidRequestError("files hash must be 64 hexadecimal characters")
    return text
