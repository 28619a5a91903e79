"""A small document that several programs change, each of them only as it has read it: a file, or beside a shared state.

``remote/documents.py`` keeps one on a server.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nexus.stores.failures import explained
from nexus.stores.files import Files
from nexus.stores.remote.objects import Stored


class SharedDocument(Protocol):
    """One document. Every method raises DiagnosticsError when it can't."""

    async def read(self) -> Stored | None:
        """As last written; None where there is none."""

    async def replace(self, content: bytes, expected: str | None) -> bool:
        """Put it in place of the version ``expected``, None of nothing at all; False where something else is there."""

    async def remove(self) -> None:
        """Whatever is there. Does nothing where nothing is."""


class FileDocument:
    """A file of this machine, for its user alone. Writers take turns by a lock of the kernel's on its folder."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self._path = path
        self._files = files or Files()

    async def read(self) -> Stored | None:
        return await asyncio.to_thread(self._read)

    async def replace(self, content: bytes, expected: str | None) -> bool:
        return await asyncio.to_thread(self._replace, content, expected)

    async def remove(self) -> None:
        with explained("remove", self._path):
            if self._path.exists():
                await asyncio.to_thread(self._files.remove, self._path)

    def _read(self) -> Stored | None:
        with explained("read", self._path):
            content = self._files.read(self._path)
        return None if content is None else Stored(content, hashlib.sha256(content).hexdigest())

    def _replace(self, content: bytes, expected: str | None) -> bool:
        with explained("write", self._path), self._turn():
            there = self._read()
            if (None if there is None else there.version) != expected:
                return False
            self._files.replace(self._path, content)
            return True

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._files.make_folder(self._path.parent)
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
