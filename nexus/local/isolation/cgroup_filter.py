"""The seccomp filter that keeps programs from making control group namespaces of their own.

Whoever has one may mount the control groups in it, and where root of a machine is the owner of the groups' files (this
host's root, or the ordinary user who started the engine), could lift its limits or stop the daemon.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

from nexus.local.isolation import syscalls

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_HAS_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000

_NR: Final = 0
_ARCH: Final = 4
_FIRST_ARGUMENT: Final = 16
_CLONE3: Final = 435


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    audit_arch: int
    clone: int
    unshare: int


_BY_MACHINE: Final = {
    "x86_64": _Numbers(audit_arch=0xC000003E, clone=56, unshare=272),
    "aarch64": _Numbers(audit_arch=0xC00000B7, clone=220, unshare=97),
}


def install() -> None:
    """Put this process and its future children under the filter. Needs CAP_SYS_ADMIN in its user namespace."""
    machine = platform.machine()
    if machine not in _BY_MACHINE:
        raise OSError(f"machines whose root owns control groups are not available on {machine}")
    syscalls.install_filter(program(_BY_MACHINE[machine]))


def program(numbers: _Numbers) -> bytes:
    """The BPF instructions. clone3 names its flags in memory, so it is not there: C libraries then use clone.

    Calls of a foreign architecture are refused, as they have other numbers.
    """
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, numbers.audit_arch),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_LOAD, 0, 0, _NR),
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_EQUAL, 1, 0, numbers.clone),
        (_EQUAL, 0, 3, numbers.unshare),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_HAS_BIT, 0, 1, syscalls.CLONE_NEWCGROUP),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", opcode, yes, no, value) for opcode, yes, no, value in code)
