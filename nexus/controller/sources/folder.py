"""A folder of this machine: looked at every second, by the content of its files.

A change counts once two looks in a row have seen the same, so that what is being copied there is not applied by halves.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nexus.controller.sources.base import Revision
from nexus.manifest import MANIFEST_NAME
from nexus.model.diagnostics import DiagnosticsError, error

_LEFT_OUT: Final = frozenset({".git", ".nexus", "__pycache__"})
"""What other programs keep there, and nexus itself."""

_MOST_CHANGES: Final = 10
"""Looks in a row that may each see something else; files that change all the time must not keep others from healing."""

_Signature = tuple[int, int, int, int]


class FolderSource:
    """``pause`` is in seconds."""

    def __init__(self, folder: Path, pause: float = 1.0) -> None:
        self._folder = folder
        self._pause = pause
        self._digests: dict[str, tuple[_Signature, str]] = {}
        self._seen = ""
        self._changes = 0

    @property
    def pause(self) -> float | None:
        return self._pause

    async def refresh(self) -> Revision:
        before, self._seen = self._seen, await asyncio.to_thread(self._digest)
        self._changes = self._changes + 1 if before not in ("", self._seen) else 0
        is_settling = 0 < self._changes <= _MOST_CHANGES
        return Revision(self._seen, self._folder / MANIFEST_NAME, is_settling=is_settling)

    def _digest(self) -> str:
        """Of the names, modes and contents of all files; only what looks changed is read again."""
        if not self._folder.is_dir():
            raise DiagnosticsError(
                error(
                    "source-unavailable",
                    "The project's folder is not there",
                    detail=str(self._folder),
                    hint="the controller looks again; what it made is left as it is meanwhile",
                )
            )
        whole = hashlib.sha256()
        known: dict[str, tuple[_Signature, str]] = {}
        for name, path in _files(self._folder):
            try:
                signature, digest = self._file(name, path)
            except OSError:
                continue  # it went away just now, or can't be read: whoever needs it will say so
            known[name] = (signature, digest)
            whole.update(f"{name}\0{signature[0]:o}\0{digest}\n".encode("utf-8", "surrogateescape"))
        self._digests = known
        return whole.hexdigest()

    def _file(self, name: str, path: str) -> tuple[_Signature, str]:
        found = os.lstat(path)
        signature = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino)
        before = self._digests.get(name)
        if before is not None and before[0] == signature:
            return before
        if stat.S_ISLNK(found.st_mode):
            return signature, hashlib.sha256(os.fsencode(Path(path).readlink())).hexdigest()
        if not stat.S_ISREG(found.st_mode):
            return signature, ""
        with Path(path).open("rb") as file:
            return signature, hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Names relative to the folder, and paths, in a fixed order."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = os.path.join(place, name)  # noqa: PTH118 - thousands of them, every second
            yield os.path.relpath(path, folder), path
