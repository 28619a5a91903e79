"""User namespaces: one made to be entered and mapped onto mounts, one entered on the spot."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Final

from nexus.local.isolation import syscalls

IDS_PER_MACHINE: Final = 65536
# Above the ids of people and of the usual /etc/subuid ranges, below the sign bit.
_FIRST_ID: Final = 1_000_000
_RANGES: Final = 20_000


def id_range(machine_id: str) -> int:
    """The first of the 65536 host ids that stand for a machine's ids; a function of its name.

    Two machines may share a range. It then protects them from each other no longer, though namespaces still do.
    """
    return _FIRST_ID + (zlib.crc32(machine_id.encode()) % _RANGES) * IDS_PER_MACHINE


def create_mapped(first_id: int) -> int:
    """A descriptor of a new user namespace that shows ``first_id`` and the following ids as 0 to 65535.

    Needs CAP_SETUID and CAP_SETGID over the current user namespace.
    """
    ready_in, ready_out = os.pipe()
    done_in, done_out = os.pipe()
    child = os.fork()
    if child == 0:
        _hold_namespace(ready_out, done_in, done_out)
    os.close(done_in)
    os.close(ready_out)
    try:
        if os.read(ready_in, 1) != b"1":
            raise OSError("unshare of a user namespace was refused")
        mapping = f"0 {first_id} {IDS_PER_MACHINE}"
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text(mapping)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready_in)
        os.close(done_out)
        os.waitpid(child, 0)


def _hold_namespace(ready: int, done: int, done_out: int) -> None:
    """In the child: make the namespace, and keep it alive until the parent has opened it."""
    try:
        os.close(done_out)
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(ready, b"1")
        os.read(done, 1)
    finally:
        os._exit(0)


def enter_as_root() -> None:
    """Move this process into a new user namespace where its one uid and gid are 0. Needs no privileges."""
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
