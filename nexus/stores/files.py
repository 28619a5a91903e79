"""The few things that the local store does to a file system, each of them durable once it returns.

Kept apart so that tests can make every single one of them fail, or the machine stop before it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

_sync_data = getattr(os, "fdatasync", os.fsync)


class Files:
    """The real file system. Every method may raise OSError."""

    def read(self, path: Path) -> bytes | None:
        """The whole file; None when there is none."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def make_folder(self, path: Path) -> None:
        """The folder and those above it that are missing, for the user alone."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        self.sync_folder(path.parent)

    def write(self, path: Path, content: bytes) -> None:
        """The file with this content, whatever was there. Not atomic: :meth:`replace` is."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
        try:
            self.append(descriptor, content)
        finally:
            os.close(descriptor)

    def replace(self, path: Path, content: bytes) -> None:
        """The file with this content, or as it was: never anything between. For who holds a lock on it."""
        self._replace(path, path.with_name(f"{path.name}.new"), content)

    def replace_unlocked(self, path: Path, content: bytes) -> None:
        """The same for a file that several may write at once: each writes a draft of its own, and the last one wins."""
        draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
        try:
            self._replace(path, draft, content)
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise

    def _replace(self, path: Path, draft: Path, content: bytes) -> None:
        self.write(draft, content)
        self.rename(draft, path)
        self.sync_folder(path.parent)

    def open_append(self, path: Path) -> int:
        """A descriptor for :meth:`append`; the caller closes it."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def append(self, descriptor: int, content: bytes) -> None:
        """Write all of it and see it on the disk."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        _sync_data(descriptor)

    def note(self, descriptor: int, content: bytes) -> None:
        """Write all of it, without waiting for the disk: it outlives this process, not a power cut."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def rename(self, source: Path, destination: Path) -> None:
        source.replace(destination)

    def copy(self, source: Path, destination: Path) -> None:
        """``destination`` becomes what ``source`` is now; nothing happens when there is no ``source``."""
        content = self.read(source)
        if content is not None:
            self.replace(destination, content)

    def remove(self, path: Path) -> None:
        """Nothing happens when there is no such file."""
        path.unlink(missing_ok=True)
        self.sync_folder(path.parent)

    def remove_folder(self, path: Path) -> None:
        """The folder and all that is in it; what can't be removed stays."""
        shutil.rmtree(path, ignore_errors=True)

    def sync_folder(self, path: Path) -> None:
        """See on the disk which files are in the folder."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
