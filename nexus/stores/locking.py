"""The local lock: the kernel's, so that it ends with the process that holds it, and a note of who that is."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.stores.base import LockInfo
from nexus.stores.failures import explained
from nexus.stores.files import FILE_MODE

_POLL: Final = 0.1
_GLANCES: Final = 3
"""How often a lock is tried before it counts as held: someone who only asks for the holder has it for an instant."""


class LocalLock:
    """One file. ``prepare`` makes the folder that it lies in."""

    def __init__(self, path: Path, prepare: Callable[[], None]) -> None:
        self._path = path
        self._prepare = prepare
        self._descriptor: int | None = None

    async def acquire(self, info: LockInfo, patience: float = 0.0) -> None:
        if self._descriptor is not None:
            raise DiagnosticsError(locked(await self.holder()))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        glances = _GLANCES
        while not self._take(info):
            glances -= 1
            if glances <= 0 and loop.time() >= deadline:
                raise DiagnosticsError(locked(await self.holder()))
            await asyncio.sleep(0.01 if glances > 0 else min(_POLL, max(0.0, deadline - loop.time())))

    async def release(self) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
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

    def _take(self, info: LockInfo) -> bool:
        with explained("take the lock", self._path):
            self._prepare()
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                if not _lock(descriptor, fcntl.LOCK_EX):
                    os.close(descriptor)
                    return False
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(asdict(info)).encode(), 0)
            except OSError:
                os.close(descriptor)
                raise
        self._descriptor = descriptor
        return True


def locked(info: LockInfo | None, now: datetime | None = None) -> Diagnostic:
    """What to tell the second one."""
    if info is None:
        detail = "Another run of nexus holds the lock, and does not say which."
    else:
        who = f"{info.holder} (process {info.pid})"
        detail = f"{who} is running «nexus {info.operation}» since {info.since}, for {_age(info.since, now)}."
    return error(
        "state-locked",
        "The state is locked",
        detail=detail,
        hint="wait until it has ended, or give --lock-timeout 5m to wait for it",
    )


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _note(descriptor: int) -> LockInfo:
    unknown = LockInfo(holder="someone", pid=0, operation="apply", since="")
    try:
        data = json.loads(os.pread(descriptor, 4096, 0))
        return LockInfo(
            holder=str(data["holder"]), pid=int(data["pid"]), operation=str(data["operation"]), since=str(data["since"])
        )
    except (ValueError, KeyError, TypeError):
        return unknown  # it has the lock, and has not written its note yet


def _age(since: str, now: datetime | None) -> str:
    try:
        seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(since)).total_seconds())
    except (ValueError, TypeError):
        return "a while"
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{max(seconds, 0)} s"
