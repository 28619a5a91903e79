"""The local lock: the kernel's, so that it ends with the process that holds it, and a note of who that is.

The file's time of change says when its holder was last alive: a thread renews it. A holder that is suspended for
longer than ``LEASE`` can be replaced, and one whose lock file was taken away has lost it: it finds out with ``verify``,
because the file at the path is not the one that it holds. Neither can happen in the middle of a write
(:meth:`LocalLock.undisturbed`), so that nothing is written late by who has lost it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores.base import LockInfo
from nexus.stores.failures import explained
from nexus.stores.files import FILE_MODE
from nexus.stores.lock_messages import busy, locked, lost, not_that_lock

LEASE: Final = 120.0
"""Seconds after which a holder that gave no sign of life may be replaced."""

_RENEWAL: Final = 15.0
_POLL: Final = 0.1
_WRITING: Final = 5.0
"""Seconds for which somebody else's write is waited for: it takes a moment, unless they are suspended within."""

_GLANCE: Final = 1.0
_INSTANT: Final = 0.01
"""For so long, and every so many seconds, a lock is tried that nobody has signed.

Who only asks for the holder has it for an instant, as has who is just taking it."""

_UNKNOWN: Final = LockInfo(holder="someone", pid=0, operation="apply", since="")


class LocalLock:
    """One file. ``prepare`` makes the folder that it lies in."""

    def __init__(self, path: Path, prepare: Callable[[], None]) -> None:
        self._path = path
        self._prepare = prepare
        self._descriptor: int | None = None
        self._renewal: _Renewal | None = None

    async def acquire(self, info: LockInfo, patience: float = 0.0) -> LockInfo | None:
        if self._descriptor is not None:
            raise DiagnosticsError(locked(await self.holder()))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not self._take(info):
            if (silent := self._taken_over(info)) is not None:
                return silent
            holder = await self.holder()
            is_signed = holder not in (None, _UNKNOWN)
            left = begun + (patience if is_signed else max(patience, _GLANCE)) - loop.time()
            if left <= 0:
                raise DiagnosticsError(locked(holder))
            await asyncio.sleep(min(_POLL if is_signed else _INSTANT, left))
        return None

    async def verify(self) -> None:
        with explained("look after the lock", self._path):
            if self._descriptor is not None and self._is_at_path(self._descriptor):
                return
        raise DiagnosticsError(lost(await self.holder()))

    async def release(self) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if self._renewal is not None:
            self._renewal.end()
        with explained("give back the lock", self._path):
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    async def holder(self) -> LockInfo | None:
        with explained("read the lock", self._path):
            try:
                descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            try:
                return None if _lock(descriptor, fcntl.LOCK_SH) else _note(descriptor)
            finally:
                os.close(descriptor)

    async def break_open(self, lock_id: str | None) -> LockInfo | None:
        info = await self.holder()
        if info is None:
            return None
        if lock_id is not None and lock_id != info.id:
            raise DiagnosticsError(not_that_lock(lock_id, info))
        with explained("break the lock", self._path), self._turn(_WRITING) as is_ours:
            if not is_ours:
                raise DiagnosticsError(busy(info))
            self._path.unlink(missing_ok=True)
        return info

    # ---- writing

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Nobody takes the lock from us within. Without the lock, as who only reads, nothing is seen to.

        Raises DiagnosticsError (``lock-lost``) when it was taken before.
        """
        if self._descriptor is None:
            yield
            return
        with explained("look after the lock", self._path), self._turn(_WRITING) as is_ours:
            if not is_ours:
                raise DiagnosticsError(busy(self._noted()))
            if not self._is_at_path(self._descriptor):
                raise DiagnosticsError(lost(self._noted()))
            yield

    @contextmanager
    def _turn(self, patience: float = 0.0) -> Iterator[bool]:
        """Whether it is ours: of those who write in the folder, or take the lock from somebody else, one does so."""
        deadline = time.monotonic() + patience
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while not (is_ours := _lock(descriptor, fcntl.LOCK_EX)) and time.monotonic() < deadline:
                time.sleep(0.01)
            yield is_ours
        finally:
            os.close(descriptor)

    # ---- taking

    def _take(self, info: LockInfo) -> bool:
        """Nobody takes it over meanwhile: until our note is written, that of who had it last may seem to be silent."""
        with explained("take the lock", self._path):
            self._prepare()
        with explained("take the lock", self._path), self._turn() as is_ours:
            if not is_ours:
                return False
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                # Between opening and locking, the file may have been taken away.
                if not _lock(descriptor, fcntl.LOCK_EX) or not self._is_at_path(descriptor):
                    os.close(descriptor)
                    return False
                _write_note(descriptor, info)
            except OSError:
                os.close(descriptor)
                raise
        self._hold(descriptor)
        return True

    def _taken_over(self, info: LockInfo) -> LockInfo | None:
        """The holder that gave no sign of life, where the lock was taken from it: not while it is within a write."""
        if self._silent() is None:
            return None
        with explained("take over the lock", self._path), self._turn() as is_ours:
            silent = self._silent() if is_ours else None
            if silent is not None:
                self._take_over(info)
            return silent

    def _take_over(self, info: LockInfo) -> None:
        """Put a lock of our own in the place of the other's. Of two that do this at once, one finds that it lost."""
        own = self._path.with_name(f"{self._path.name}.{info.id or os.getpid()}")
        with explained("take over the lock", self._path):
            descriptor = os.open(own, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            try:
                _lock(descriptor, fcntl.LOCK_EX)
                _write_note(descriptor, info)
                own.replace(self._path)
            except OSError:
                os.close(descriptor)
                raise
        self._hold(descriptor)

    def _hold(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._renewal = _Renewal(descriptor)
        self._renewal.start()

    def _silent(self) -> LockInfo | None:
        """The holder, where it has given no sign of life for so long that it may be replaced."""
        with explained("read the lock", self._path):
            try:
                descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            try:
                info = _note(descriptor)
                return info if info.id and time.time() - os.fstat(descriptor).st_mtime > LEASE else None
            finally:
                os.close(descriptor)

    def _noted(self) -> LockInfo | None:
        """Who wrote the note at the path."""
        with suppress(FileNotFoundError):
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _note(descriptor)
            finally:
                os.close(descriptor)
        return None

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False


class _Renewal(threading.Thread):
    """Says every few seconds that the holder is alive, even while its event loop waits for a person's answer."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(name="nexus-lock", daemon=True)
        self._descriptor = os.dup(descriptor)
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_RENEWAL):
            try:
                os.utime(self._descriptor)
            except OSError:
                break  # the lease ends then, if anybody wants it
        os.close(self._descriptor)

    def end(self) -> None:
        self._ended.set()
        self.join()


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _write_note(descriptor: int, info: LockInfo) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(info)).encode(), 0)


def _note(descriptor: int) -> LockInfo:
    try:
        data = json.loads(os.pread(descriptor, 4096, 0))
        return LockInfo(
            holder=str(data["holder"]),
            pid=int(data["pid"]),
            operation=str(data["operation"]),
            since=str(data["since"]),
            id=str(data.get("id", "")),
        )
    except (ValueError, KeyError, TypeError):
        return _UNKNOWN  # it has the lock, and has not written its note yet
