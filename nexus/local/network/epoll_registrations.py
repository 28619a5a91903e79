"""Carry epoll registrations over from a replaced socket to its successor.

The kernel ties a registration to the open file, so it would silently go with the old socket. It also remembers the
descriptor *number*, which later ``EPOLL_CTL_MOD`` and ``DEL`` calls must match; hence the short-lived child process, in
whose own descriptor table the new socket can take that number.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.local.network import kernel

_EPOLL_CTL_ADD: Final = 1
_LINK: Final = "anon_inode:[eventpoll]"

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Registration:
    """One entry of an epoll instance: the instance's number in the process, what is awaited, what is reported."""

    epoll: int
    events: int
    data: int


def registrations_of(pid: int, fd: int, inode: int) -> list[Registration]:
    """Where process ``pid`` has registered its socket ``fd``. Empty when the process is gone."""
    try:
        return list(_scan(pid, fd, inode))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def _scan(pid: int, fd: int, inode: int) -> Iterator[Registration]:
    base = f"/proc/{pid}/fd"
    for name in os.listdir(base):  # noqa: PTH208 - on the path of every connect
        try:
            if os.readlink(f"{base}/{name}") != _LINK:  # noqa: PTH115 - likewise
                continue
            text = Path(f"/proc/{pid}/fdinfo/{name}").read_text()
        except FileNotFoundError:
            continue
        for line in text.splitlines():
            fields = line.split()
            # tfd: 7 events: 19 data: 7 pos:0 ino:1a2b sdev:9
            if not line.startswith("tfd:") or int(fields[1]) != fd:
                continue
            known = dict(field.split(":", 1) for field in fields[6:] if ":" in field)
            if "ino" not in known or int(known["ino"], 16) == inode:
                yield Registration(int(name), int(fields[3], 16), int(fields[5], 16))


def register_successor(pidfd: int, fd: int, successor: int, registrations: list[Registration]) -> None:
    """Register ``successor`` like the socket it is about to replace: number ``fd`` of the process behind ``pidfd``."""
    epolls: list[tuple[int, Registration]] = []
    try:
        for registration in registrations:
            with suppress(OSError):
                epolls.append((kernel.pidfd_getfd(pidfd, registration.epoll), registration))
        _register_at_number(fd, successor, epolls)
    finally:
        for epoll, _registration in epolls:
            os.close(epoll)


def _register_at_number(fd: int, successor: int, epolls: list[tuple[int, Registration]]) -> None:
    child = os.fork()
    if child == 0:
        try:
            # Above any number that dup2 may overwrite below.
            free = max(fd, successor, *(epoll for epoll, _ in epolls)) + 1
            moved = [(os.dup2(epoll, free + index), entry) for index, (epoll, entry) in enumerate(epolls)]
            if successor != fd:
                os.dup2(successor, fd)
            for epoll, entry in moved:
                event = ctypes.create_string_buffer(_event(entry))
                _libc.epoll_ctl(epoll, _EPOLL_CTL_ADD, fd, event)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _event(registration: Registration) -> bytes:
    # struct epoll_event is packed on x86-64 alone.
    layout = "=IQ" if kernel.machine() == "x86_64" else "=I4xQ"
    return struct.pack(layout, registration.events, registration.data)
