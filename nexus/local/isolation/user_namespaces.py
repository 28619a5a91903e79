"""User namespaces: one made to be entered and mapped onto mounts, one entered on the spot."""

from __future__ import annotations

import contextlib
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.local.isolation import syscalls

IDS_PER_MACHINE: Final = 65536
# Above the ids of people and of the usual /etc/subuid ranges, below the sign bit.
_FIRST_ID: Final = 1_000_000
_RANGES: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedNamespace:
    """A user namespace to enter and to map mounts with: ``first_id`` on the host is 0 inside. Owns ``fd``."""

    fd: int
    first_id: int

    def close(self) -> None:
        os.close(self.fd)


def create_mapped() -> MappedNamespace:
    """A new user namespace with 65536 ids of its own.

    Its range is drawn at random: should two machines ever share one, it no longer protects them from each other, but
    all their other namespaces do. Needs CAP_SETUID and CAP_SETGID over the current user namespace.
    """
    first_id = _FIRST_ID + random.randrange(_RANGES) * IDS_PER_MACHINE  # noqa: S311 - uniqueness, not secrecy
    return MappedNamespace(fd=_namespace_of_ids(first_id), first_id=first_id)


def _namespace_of_ids(first_id: int) -> int:
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
        # Whoever reaps all children of this process on SIGCHLD may have been first.
        with contextlib.suppress(ChildProcessError):
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
