"""The system calls Python has no names for: seccomp, pidfd_getfd, and another process's memory.

Thin and typed; nothing here knows what a policy or a machine is. Every failure is an ``OSError`` with its errno.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
from typing import Final

_PIDFD_GETFD: Final = 438
_SECCOMP_BY_MACHINE: Final = {"x86_64": 317, "aarch64": 277}

SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_GET_NOTIF_SIZES: Final = 3
FILTER_FLAG_NEW_LISTENER: Final = 1 << 3
FILTER_FLAG_WAIT_KILLABLE_RECV: Final = 1 << 5

_PR_SET_NO_NEW_PRIVS: Final = 38
_SO_NETNS_COOKIE: Final = 71

_libc = ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _NotifSizes(ctypes.Structure):
    _fields_ = (("notif", ctypes.c_uint16), ("response", ctypes.c_uint16), ("data", ctypes.c_uint16))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def machine() -> str:
    """The kernel's architecture; raises OSError where seccomp has no number known here."""
    name = platform.machine()
    if name not in _SECCOMP_BY_MACHINE:
        raise OSError(f"egress through seccomp is not available on {name}, only on {' and '.join(_SECCOMP_BY_MACHINE)}")
    return name


def seccomp(operation: int, flags: int, argument: object) -> int:
    """seccomp(2); ``argument`` is a ctypes instance passed by reference."""
    number = _SECCOMP_BY_MACHINE[machine()]
    return _checked(
        _libc.syscall(
            ctypes.c_long(number),
            ctypes.c_uint(operation),
            ctypes.c_uint(flags),
            ctypes.byref(argument),  # type: ignore[arg-type]
        )
    )


def notification_sizes() -> tuple[int, int]:
    """Bytes of the kernel's notification and response; they may grow with the kernel."""
    sizes = _NotifSizes()
    seccomp(SECCOMP_GET_NOTIF_SIZES, 0, sizes)
    return int(sizes.notif), int(sizes.response)


def set_no_new_privs() -> None:
    """After this no execve of this process tree gains privileges (set-uid programs lose their bit)."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def take_fd(pid: int, fd: int) -> int:
    """A duplicate, here, of descriptor ``fd`` of process ``pid`` (close-on-exec).

    Needs the right to trace that process. Raises ProcessLookupError when it is gone, OSError EBADF when it has no such
    descriptor.
    """
    pidfd = os.pidfd_open(pid)
    try:
        return pidfd_getfd(pidfd, fd)
    finally:
        os.close(pidfd)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A duplicate, here, of descriptor ``fd`` of the process behind ``pidfd`` (close-on-exec)."""
    return _checked(_libc.syscall(ctypes.c_long(_PIDFD_GETFD), ctypes.c_int(pidfd), ctypes.c_int(fd), ctypes.c_uint(0)))


def read_memory(pid: int, address: int, length: int) -> bytes:
    """Up to ``length`` bytes of another process; fewer only where its mapping ends. EFAULT when nothing is there."""
    buffer = ctypes.create_string_buffer(length)
    local = _Iovec(ctypes.addressof(buffer), length)
    remote = _Iovec(address, length)
    count = _checked(
        _libc.process_vm_readv(
            ctypes.c_int(pid),
            ctypes.byref(local),
            ctypes.c_ulong(1),
            ctypes.byref(remote),
            ctypes.c_ulong(1),
            ctypes.c_ulong(0),
        )
    )
    return buffer.raw[:count]


def write_memory(pid: int, address: int, data: bytes) -> None:
    """Write into another process's memory."""
    buffer = ctypes.create_string_buffer(data, len(data))
    local = _Iovec(ctypes.addressof(buffer), len(data))
    remote = _Iovec(address, len(data))
    _checked(
        _libc.process_vm_writev(
            ctypes.c_int(pid),
            ctypes.byref(local),
            ctypes.c_ulong(1),
            ctypes.byref(remote),
            ctypes.c_ulong(1),
            ctypes.c_ulong(0),
        )
    )


def network_of(sock: socket.socket) -> bytes:
    """The cookie of the network namespace a socket belongs to (Linux 5.14)."""
    return sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)


def open_process(tid: int) -> tuple[int, int]:
    """The process a thread belongs to: its id, and a pidfd that the caller closes.

    Raises ProcessLookupError when it is gone.
    """
    try:
        return tid, os.pidfd_open(tid)
    except OSError as error:
        # EINVAL, newer kernels ENOENT: a thread other than the first.
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
    pid = _thread_group(tid)
    return pid, os.pidfd_open(pid)


def _thread_group(tid: int) -> int:
    try:
        with open(f"/proc/{tid}/status", "rb") as status:  # noqa: PTH123 - on the hot path of every connect
            for line in status:
                if line.startswith(b"Tgid:"):
                    return int(line[5:])
    except FileNotFoundError:
        pass
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
