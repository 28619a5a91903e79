"""The seccomp filter of machines with a single uid: calls that give things to other users succeed and do nothing.

Package managers and daemons insist on them; where all users are one, nothing is lost by not doing them.
"""

from __future__ import annotations

import platform
import stat
import struct
from dataclasses import dataclass
from typing import Final

from nexus.local.isolation import syscalls

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_ALLOW: Final = 0x7FFF0000
_ERRNO_0: Final = 0x00050000

_NR: Final = 0
_ARCH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """The numbers of one architecture: calls to fake, and (number, argument that holds the mode) of mknod's."""

    audit_arch: int
    faked: tuple[int, ...]
    mknods: tuple[tuple[int, int], ...]


# chown, fchown, lchown, fchownat; setuid, setgid, setreuid, setregid, setgroups, setresuid, setresgid, setfsuid,
# setfsgid; capset
_X86_64: Final = _Calls(
    audit_arch=0xC000003E,
    faked=(92, 93, 94, 260, 105, 106, 113, 114, 116, 117, 119, 122, 123, 126),
    mknods=((133, 1), (259, 2)),
)
_AARCH64: Final = _Calls(
    audit_arch=0xC00000B7,
    faked=(55, 54, 146, 144, 145, 143, 159, 147, 149, 151, 152, 91),
    mknods=((33, 2),),
)
_BY_MACHINE: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}


def install() -> None:
    """Put this process and its future children under the filter. No privileges are needed, and none gained later.

    From then on capabilities can no longer be changed, so they must have been dropped before.
    """
    machine = platform.machine()
    if machine not in _BY_MACHINE:
        raise OSError(f"machines of an ordinary user are not available on {machine}")
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.install_filter(program(_BY_MACHINE[machine]))


def program(calls: _Calls) -> bytes:
    """The BPF instructions. Calls of another architecture pass: they then fail or not as the kernel says."""
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, calls.audit_arch),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NR),
    ]
    for number in calls.faked:
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO_0)]
    for number, argument in calls.mknods:
        code += [
            (_EQUAL, 0, 6, number),
            (_LOAD, 0, 0, 16 + 8 * argument),
            (_AND, 0, 0, stat.S_IFMT(0o177777)),
            (_EQUAL, 1, 0, stat.S_IFCHR),
            (_EQUAL, 0, 1, stat.S_IFBLK),
            (_RETURN, 0, 0, _ERRNO_0),
            (_RETURN, 0, 0, _ALLOW),
        ]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", opcode, yes, no, value) for opcode, yes, no, value in code)
