"""The seccomp filter of a machine: which system calls ask the supervisor outside before they run.

Installed once by the machine's init and inherited by everything it starts. It decides on registers alone, so all calls
that can name a network destination are stopped, and those that make servers; reading the destination from memory is
the supervisor's work.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from dataclasses import dataclass
from typing import Final

from nexus.local.network import kernel

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_NOTIFY: Final = 0x7FC00000

# Offsets in struct seccomp_data.
_NR: Final = 0
_ARCH: Final = 4
_SENDTO_ADDRESS: Final = 16 + 4 * 8

_X32_BIT: Final = 0x40000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Syscalls:
    """The numbers of one architecture."""

    audit_arch: int
    connect: int
    bind: int
    listen: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    io_uring: tuple[int, ...] = (425, 426, 427)


SYSCALLS: Final = {
    "x86_64": Syscalls(audit_arch=0xC000003E, connect=42, bind=49, listen=50, sendto=44, sendmsg=46, sendmmsg=307),
    "aarch64": Syscalls(
        audit_arch=0xC00000B7, connect=203, bind=200, listen=201, sendto=206, sendmsg=211, sendmmsg=269
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def egress_program(calls: Syscalls) -> bytes:
    """The BPF instructions for one architecture.

    Calls of a foreign architecture and io_uring, which would pass by the filter, fail with ENOSYS.
    """
    notified = (calls.connect, calls.bind, calls.listen, calls.sendmsg, calls.sendmmsg)
    body: list[tuple[int, int, str | int, str | int]] = [
        (_LOAD, _ARCH, 0, 0),
        (_EQUAL, calls.audit_arch, 0, "unsupported"),
        (_LOAD, _NR, 0, 0),
        (_AT_LEAST, _X32_BIT, "unsupported", 0),
        *((_EQUAL, number, "notify", 0) for number in notified),
        *((_EQUAL, number, "unsupported", 0) for number in calls.io_uring),
        (_EQUAL, calls.sendto, 0, "allow"),
        (_LOAD, _SENDTO_ADDRESS, 0, 0),
        (_EQUAL, 0, 0, "notify"),
        (_LOAD, _SENDTO_ADDRESS + 4, 0, 0),
        (_EQUAL, 0, "allow", "notify"),
    ]
    ends = {"allow": _ALLOW, "notify": _NOTIFY, "unsupported": _ERRNO | errno.ENOSYS}
    places = {name: len(body) + index for index, name in enumerate(ends)}

    def jump(target: str | int, at: int) -> int:
        return target if isinstance(target, int) else places[target] - at - 1

    code = [
        struct.pack("=HBBI", opcode, jump(yes, at), jump(no, at), value)
        for at, (opcode, value, yes, no) in enumerate(body)
    ]
    code += [struct.pack("=HBBI", _RETURN, 0, 0, value) for value in ends.values()]
    return b"".join(code)


def install_egress_filter() -> int:
    """Put the calling process and all its future children under a supervisor; return the notification descriptor.

    Call it in the machine's init, single-threaded, with CAP_SYS_ADMIN in its user namespace (or after
    :func:`kernel.set_no_new_privs`). From then on ``connect``, ``sendmsg`` and the like wait for whoever reads the
    descriptor, so do not send it over a socket: write its *number* to the parent, let the parent fetch it with
    :func:`kernel.take_fd`, then close it here. Once every copy is closed those calls fail with ENOSYS.

    Raises OSError: EBUSY when an outer filter already has a listener, EINVAL when the kernel is too old.
    """
    code = egress_program(SYSCALLS[kernel.machine()])
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    flags = kernel.FILTER_FLAG_NEW_LISTENER
    try:
        # A signal must not tear a call apart while the supervisor acts on it (a datagram would leave twice).
        return kernel.seccomp(kernel.SECCOMP_SET_MODE_FILTER, flags | kernel.FILTER_FLAG_WAIT_KILLABLE_RECV, program)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return kernel.seccomp(kernel.SECCOMP_SET_MODE_FILTER, flags, program)
