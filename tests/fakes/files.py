"""File systems that fail: one that ends the process before a chosen step, and one that is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from nexus.stores.files import Files


class Crash(BaseException):
    """The process ends here."""


class CrashingFiles(Files):
    """Stops before the ``crash_at``-th step (from 0) that changes anything; of a write, half has happened by then."""

    def __init__(self, crash_at: int) -> None:
        self.steps = 0
        self._crash_at = crash_at

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._crash_at:
            raise Crash

    def append(self, descriptor: int, content: bytes) -> None:
        if self.steps == self._crash_at:
            os.write(descriptor, content[: len(content) // 2])
        self._step()
        super().append(descriptor, content)

    def rename(self, source: Path, destination: Path) -> None:
        self._step()
        super().rename(source, destination)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)

    def sync_folder(self, path: Path) -> None:
        self._step()
        super().sync_folder(path)

    def make_folder(self, path: Path) -> None:
        if not path.is_dir():
            self._step()
        super().make_folder(path)


class FullDisk(Files):
    """Has room for ``room`` bytes, and after that for half of what is written."""

    def __init__(self, room: int) -> None:
        self.room = room

    def append(self, descriptor: int, content: bytes) -> None:
        self.room -= len(content)
        if self.room < 0:
            os.write(descriptor, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().append(descriptor, content)
