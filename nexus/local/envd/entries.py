"""One file or directory as E2B's clients see it."""

from __future__ import annotations

import errno
import os
import stat

from e2b.envd.filesystem import filesystem_pb as pb
from protobuf.wkt import Timestamp

from nexus.local.envd import metadata
from nexus.local.envd.accounts import Account, Accounts


def describe(path: str, accounts: Accounts) -> pb.EntryInfo:
    """What lies at ``path``. Raises OSError.

    A link has its own permissions, size and owner, but the type and mode of its target and, resolved in full, where it
    leads. It is not marked as a link besides: E2B's envd knows no such mark, and clients would report another type.
    """
    own = os.lstat(path)
    is_link = stat.S_ISLNK(own.st_mode)
    mode = _target_mode(path) if is_link else own.st_mode
    entry = pb.EntryInfo(
        name=os.path.basename(path) or "/",
        path=path,
        type=_type(mode),
        size=own.st_size,
        mode=mode & 0o777,
        permissions=permissions(own.st_mode),
        owner=accounts.user_name(own.st_uid),
        group=accounts.group_name(own.st_gid),
        modified_time=_timestamp(own.st_mtime_ns),
    )
    if is_link:
        # One that leads nowhere shows itself.
        entry.symlink_target = os.path.realpath(path) if os.path.exists(path) else path
    if attributes := metadata.read(path):
        entry.metadata = attributes
    return entry


def upload_result(path: str) -> dict[str, object]:
    """The answer for one uploaded file."""
    result: dict[str, object] = {"path": path, "name": os.path.basename(path), "type": "file"}
    if attributes := metadata.read(path):
        result["metadata"] = attributes
    return result


def permissions(mode: int) -> str:
    """``mode`` in the style of Go, where a link begins with ``L`` and special bits are letters of their own."""
    kinds = {
        stat.S_IFDIR: "d",
        stat.S_IFLNK: "L",
        stat.S_IFBLK: "D",
        stat.S_IFCHR: "Dc",
        stat.S_IFIFO: "p",
        stat.S_IFSOCK: "S",
    }
    letters = kinds.get(stat.S_IFMT(mode), "")
    letters += "u" if mode & stat.S_ISUID else ""
    letters += "g" if mode & stat.S_ISGID else ""
    letters += "t" if mode & stat.S_ISVTX else ""
    bits = "".join(letter if mode & (1 << (8 - place)) else "-" for place, letter in enumerate("rwxrwxrwx"))
    return (letters or "-") + bits


def make_directories(path: str, account: Account) -> None:
    """Create ``path`` and its missing parents, 0755 and owned by ``account``. Raises OSError."""
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        os.mkdir(directory, 0o755)
        give_to(directory, account)


def give_to(target: str | int, account: Account) -> None:
    """Make ``account`` the owner, where the machine knows more than one real user."""
    try:
        os.chown(target, account.uid, account.gid)
    except OSError as error:
        # Without root, or in a machine of one real uid (EINVAL), everything belongs to that one user already.
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise


def _target_mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def _type(mode: int) -> pb.FileType:
    if stat.S_ISDIR(mode):
        return pb.FileType.DIRECTORY
    return pb.FileType.FILE if stat.S_ISREG(mode) else pb.FileType.UNSPECIFIED


def _timestamp(nanoseconds: int) -> Timestamp:
    return Timestamp(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)
