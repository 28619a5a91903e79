"""The system calls that make a machine and that Python has no names for.

Thin and typed; nothing here knows what a machine is. Every failure is an ``OSError`` with its errno.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18

MNT_DETACH: Final = 2

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000
OPEN_TREE_CLONE: Final = 1
OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH: Final = 4
MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_IDMAP: Final = 0x00100000

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NAME: Final = 15
PR_CAPBSET_READ: Final = 23
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

SECBIT_NO_SETUID_FIXUP: Final = 1 << 2

MOUNT_DATA_LIMIT: Final = 4096
"""The kernel takes one page of mount options, terminator included, and cuts the rest off without an error."""

_KEYCTL: Final = {"x86_64": 250, "aarch64": 219}
_KEYCTL_JOIN_SESSION_KEYRING: Final = 1

# The same on every architecture.
_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
_MOUNT_SETATTR: Final = 442
_SECCOMP_SET_MODE_FILTER: Final = 1
_CAPABILITY_VERSION_3: Final = 0x20080522

_PIVOT_ROOT_BY_MACHINE: Final = {"x86_64": 155, "aarch64": 41}
_SECCOMP_BY_MACHINE: Final = {"x86_64": 317, "aarch64": 277}

_libc = ctypes.CDLL(None, use_errno=True)


class MountDataTooLongError(ValueError):
    """The options of one mount do not fit into a page: too many layers."""


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def unshare(flags: int) -> None:
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, kind: int) -> None:
    _checked(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2). Raises MountDataTooLongError where the kernel would silently cut ``data`` off."""
    options = None if data is None else os.fsencode(data)
    if options is not None and len(options) >= MOUNT_DATA_LIMIT:
        raise MountDataTooLongError(
            f"mount options of {target} are {len(options)} bytes, more than the {MOUNT_DATA_LIMIT - 1} the kernel takes"
        )
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        options,
    )
    _checked(result, f"mount {kind or 'bind'} on {target}")


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"unmount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    number = _number(_PIVOT_ROOT_BY_MACHINE, "pivot_root")
    _checked(_syscall(number, os.fsencode(new_root), os.fsencode(put_old)), "pivot_root")


def open_tree(path: str, *, recursive: bool = False) -> int:
    """A detached copy of the mount at ``path``; the caller closes the descriptor."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    result = _syscall(_OPEN_TREE, ctypes.c_int(AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags))
    return _checked(result, f"open_tree {path}")


def set_mount_attributes(fd: int, attributes: int, *, userns_fd: int = 0, recursive: bool = False) -> None:
    """mount_setattr(2) on the detached mount ``fd``; ``userns_fd`` goes with MOUNT_ATTR_IDMAP."""
    value = _MountAttr(attr_set=attributes, userns_fd=userns_fd)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    result = _syscall(
        _MOUNT_SETATTR,
        ctypes.c_int(fd),
        b"",
        ctypes.c_uint(flags),
        ctypes.byref(value),
        ctypes.c_size_t(ctypes.sizeof(value)),
    )
    _checked(result, "mount_setattr")


def move_mount(fd: int, target: str) -> None:
    """Attach the detached mount ``fd`` at ``target``."""
    result = _syscall(
        _MOVE_MOUNT,
        ctypes.c_int(fd),
        b"",
        ctypes.c_int(AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH),
    )
    _checked(result, f"move_mount to {target}")


def prctl(option: int, value: int = 0, extra: int = 0) -> int:
    arguments = [ctypes.c_ulong(number) for number in (value, extra, 0, 0)]
    return _checked(_libc.prctl(ctypes.c_int(option), *arguments), f"prctl {option}")


def set_process_name(name: str) -> None:
    """The 15 bytes that ``ps`` and ``top`` call COMM."""
    _checked(_libc.prctl(ctypes.c_int(PR_SET_NAME), name.encode()[:15], 0, 0, 0), "prctl PR_SET_NAME")


def set_filesystem_ids(uid: int, gid: int) -> None:
    """setfsgid and setfsuid, which report no errors: the result is checked by asking again."""
    for call, number in ((_libc.setfsgid, gid), (_libc.setfsuid, uid)):
        call(ctypes.c_int(number))
        if call(ctypes.c_int(-1)) != number:
            raise PermissionError(f"the file system ids {uid}:{gid} were refused")


def set_capabilities(mask: int) -> None:
    """Make ``mask`` the permitted and effective set of this thread; nothing is inheritable."""
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    halves = [mask & 0xFFFFFFFF, mask >> 32]
    data = (_CapData * 2)(*(_CapData(effective=half, permitted=half, inheritable=0) for half in halves))
    _checked(_libc.capset(ctypes.byref(header), data), "capset")


def permitted_capabilities() -> int:
    """The permitted set of this thread, a bit for each capability."""
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)()
    _checked(_libc.capget(ctypes.byref(header), data), "capget")
    return int(data[0].permitted) | int(data[1].permitted) << 32


def install_filter(code: bytes) -> None:
    """Put the calling thread and its future children under a seccomp program without a listener."""
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _FilterProgram(len(code) // 8, ctypes.addressof(buffer))
    number = _number(_SECCOMP_BY_MACHINE, "seccomp")
    result = _syscall(number, ctypes.c_uint(_SECCOMP_SET_MODE_FILTER), ctypes.c_uint(0), ctypes.byref(program))
    _checked(result, "seccomp")


def join_new_session_keyring() -> None:
    """Leave the session keyring of whoever started the daemon for an empty one. Kernels without keys have none."""
    try:
        _checked(_syscall(_number(_KEYCTL, "keyctl"), ctypes.c_int(_KEYCTL_JOIN_SESSION_KEYRING), None), "keyctl")
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise


def clear_environment() -> None:
    """Forget the C library's environment, whose strings lie in memory that ``/proc/PID/environ`` shows."""
    _checked(_libc.clearenv(), "clearenv")


def overwrite_memory(address: int, data: bytes) -> None:
    """Write ``data`` at ``address`` of this process, which the caller knows to be writable."""
    ctypes.memmove(address, data, len(data))


def _syscall(number: int, *arguments: object) -> int:
    return int(_libc.syscall(ctypes.c_long(number), *arguments))


def _number(by_machine: dict[str, int], name: str) -> int:
    machine = platform.machine()
    if machine not in by_machine:
        raise OSError(f"{name} is not known on {machine}, only on {' and '.join(by_machine)}")
    return by_machine[machine]


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
