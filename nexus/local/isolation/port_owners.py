"""Who serves a port, where machines share a network: a machine's address must not lead to a program of another's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from nexus.local.isolation import syscalls
from nexus.local.isolation.machine_processes import MachineProcesses

_TABLES: Final = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LISTENING: Final = "0A"


def serves_port(processes: MachineProcesses, port: int) -> bool:
    """Whether one of ``processes`` listens on ``port``."""
    inodes = set(_listening(port))
    return bool(inodes) and any(not inodes.isdisjoint(_sockets_of(pid)) for pid in processes.pids())


def _listening(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen on ``port``."""
    for name in _TABLES:
        with contextlib.suppress(FileNotFoundError), open(name, encoding="ascii") as table:  # noqa: PTH123
            for line in table:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _sockets_of(pid: int) -> set[str]:
    """The inodes of a process's sockets; none when it is gone."""
    found: set[str] = set()
    with contextlib.suppress(OSError), _eyes_of(pid):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(entry.path)  # noqa: PTH115 - many, and strings
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


@contextlib.contextmanager
def _eyes_of(pid: int) -> Iterator[None]:
    """Look at files as the owner of ``pid``: not even root may follow a stranger's descriptors unasked."""
    owner = os.stat(f"/proc/{pid}")  # noqa: PTH116
    own = (os.geteuid(), os.getegid())
    if (owner.st_uid, owner.st_gid) == own:
        yield
        return
    syscalls.set_filesystem_ids(owner.st_uid, owner.st_gid)
    try:
        yield
    finally:
        syscalls.set_filesystem_ids(*own)
