"""What the content API tells of a file, and whose it is said to be."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

GUEST_ID: Final = 1000
"""The account ``user`` of every sandbox, uid and gid alike."""

_NOTE: Final = "user.nexus.owner"
EntryType = Literal["unknown", "file", "directory", "symlink"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, folder or link. ``path`` is absolute within the volume, ``size`` in bytes, ``mode`` permission bits."""

    name: str
    type: EntryType
    path: str
    size: int
    mode: int
    uid: int
    gid: int
    accessed: datetime
    modified: datetime
    changed: datetime
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Owner and mode asked for; None leaves what is there, or takes the default for something new."""

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None

    def with_defaults(self, mode: int) -> Wishes:
        """For something new: what is not said is the sandbox's user, and ``mode``."""
        return Wishes(
            uid=GUEST_ID if self.uid is None else self.uid,
            gid=GUEST_ID if self.gid is None else self.gid,
            mode=mode if self.mode is None else self.mode,
        )


class Ownership(Protocol):
    """Owners as sandboxes see them."""

    def read(self, fd: int) -> tuple[int, int]:
        """Uid and gid of what ``fd`` (perhaps opened with O_PATH) stands for."""

    def write(self, fd: int, uid: int | None, gid: int | None) -> None:
        """Change them; None keeps one."""


class RealOwnership:
    """Where sandboxes have all accounts of their own, the ids on disk are theirs."""

    def read(self, fd: int) -> tuple[int, int]:
        status = os.fstat(fd)
        return status.st_uid, status.st_gid

    def write(self, fd: int, uid: int | None, gid: int | None) -> None:
        os.chown(fd_path(fd), -1 if uid is None else uid, -1 if gid is None else gid)


class NotedOwnership:
    """Where every account of a sandbox is one uid of the host: owners that were asked for are only noted.

    Nothing can belong to anyone else there, so what has no note is shown as the sandbox user's.
    """

    def read(self, fd: int) -> tuple[int, int]:
        with contextlib.suppress(OSError, ValueError):
            uid, gid = os.getxattr(fd_path(fd), _NOTE).split(b":")
            return int(uid), int(gid)
        return GUEST_ID, GUEST_ID

    def write(self, fd: int, uid: int | None, gid: int | None) -> None:
        present = self.read(fd)
        wanted = (present[0] if uid is None else uid, present[1] if gid is None else gid)
        if wanted == present:
            return
        try:
            with _writable(fd):
                os.setxattr(fd_path(fd), _NOTE, b"%d:%d" % wanted)
        except OSError as error:
            # A file system that keeps no notes; the file itself is as it should be.
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise


@contextlib.contextmanager
def _writable(fd: int) -> Iterator[None]:
    """Notes can be made only on what its owner may write."""
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    if mode & stat.S_IWUSR:
        yield
        return
    os.chmod(fd_path(fd), mode | stat.S_IWUSR)
    try:
        yield
    finally:
        os.chmod(fd_path(fd), mode)


def fd_path(fd: int) -> str:
    """A name for what a descriptor stands for, also one that was opened with O_PATH only."""
    return f"/proc/self/fd/{fd}"


def entry_of(fd: int, path: str, ownership: Ownership) -> Entry:
    """The entry an O_PATH descriptor stands for; links are not followed."""
    status = os.fstat(fd)
    kind = _type_of(status.st_mode)
    uid, gid = (status.st_uid, status.st_gid) if kind == "symlink" else ownership.read(fd)
    return Entry(
        name=path.rpartition("/")[2] or "/",
        type=kind,
        path=path,
        size=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        uid=uid,
        gid=gid,
        accessed=_time(status.st_atime_ns),
        modified=_time(status.st_mtime_ns),
        changed=_time(status.st_ctime_ns),
        target=os.readlink("", dir_fd=fd) if kind == "symlink" else None,
    )


def _type_of(mode: int) -> EntryType:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "unknown"


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
