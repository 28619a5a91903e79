"""Deleting without waiting: a folder is renamed into the trash at once, and a thread removes it later.

The rename is all that an answer waits for. A crash in between leaves nothing that looks whole, and what is in the trash
when an engine starts is removed like anything else there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nexus.local.storage.removal import RemovalStoppedError, remove_tree

# Something may still be writing into what was thrown away: the copy of a snapshot, of a daemon that was killed.
_RETRY_SECONDS: Final = 2.0
_STOP_LIMIT: Final = 10.0
_NICENESS: Final = 10
_log = logging.getLogger(__name__)


class Trash:
    """One folder, and the thread that empties it. ``folder`` is on the file system of what is thrown in.

    ``shared`` is for a process that uses the store of a running engine: it removes only what it threw away itself.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self._folder = folder
        self._shared = shared
        self._own: set[str] = set()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to remove what is there; call once the folder exists."""
        self._stopping.clear()
        self._wake.set()
        self._thread = threading.Thread(target=self._run, name="trash", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop between two folders. What is left waits for the next start, unless the store is another engine's."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        self._wake.set()
        thread.join(_STOP_LIMIT)
        if self._shared:
            for name in sorted(self._own):
                remove_tree(self._folder / name)

    def take(self, path: Path) -> bool:
        """Throw ``path`` away: it is gone when this returns. False when there was nothing."""
        try:
            self.receive(path.rename)
        except FileNotFoundError:
            return False
        except PermissionError:
            # An ordinary user may move a folder only when it may write into it.
            path.chmod(0o700, follow_symlinks=False)
            self.receive(path.rename)
        return True

    def receive(self, move: Callable[[Path], object]) -> None:
        """Throw away what ``move`` renames to the path that it is given. Raises what it raises."""
        name = secrets.token_hex(8)
        self._own.add(name)
        try:
            move(self._folder / name)
        except BaseException:
            self._own.discard(name)
            raise
        self._wake.set()

    def _run(self) -> None:
        # On Linux this concerns the calling thread alone.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            while not self._stopping.is_set() and not self._empty():
                self._stopping.wait(_RETRY_SECONDS)

    def _empty(self) -> bool:
        """Remove what is there now; False when something resisted."""
        whole = True
        for name in sorted(self._own) if self._shared else sorted(os.listdir(self._folder)):  # noqa: PTH208
            try:
                remove_tree(self._folder / name, self._stopping.is_set)
                self._own.discard(name)
            except RemovalStoppedError:
                return True
            except OSError as error:
                _log.warning("%s cannot be removed yet: %s", self._folder / name, error)
                whole = False
        return whole
