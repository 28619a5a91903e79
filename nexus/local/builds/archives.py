"""Uploaded build contexts: one archive per files hash, shared by all templates."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from nexus.local.documents import clear_leftovers, sync_folder
from nexus.local.errors import InvalidRequestError, TooLargeError

MAX_ARCHIVE = 2 * 1024**3
_HASH = re.compile(r"[0-9a-f]{64}")


class ArchiveStore:
    def __init__(self, folder: Path, limit: int = MAX_ARCHIVE) -> None:
        self._folder = folder
        self._limit = limit

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(self._folder)

    def find(self, files_hash: str) -> Path | None:
        path = self._folder / check_hash(files_hash)
        return path if path.is_file() else None

    async def store(self, files_hash: str, pieces: AsyncIterator[bytes]) -> None:
        """Keep an upload, whole or not at all. Raises TooLargeError past the limit."""
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


def check_hash(text: str) -> str:
    if _HASH.fullmatch(text) is None:
        raise InvalidRequestError("files hash must be 64 hexadecimal characters")
    return text
