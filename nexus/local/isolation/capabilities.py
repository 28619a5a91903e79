"""Which of root's powers a machine keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nexus.local.isolation import syscalls

CHOWN: Final = 0
DAC_OVERRIDE: Final = 1
FOWNER: Final = 3
FSETID: Final = 4
KILL: Final = 5
SETGID: Final = 6
SETUID: Final = 7
SETPCAP: Final = 8
NET_BIND_SERVICE: Final = 10
NET_ADMIN: Final = 12
NET_RAW: Final = 13
SYS_CHROOT: Final = 18
SYS_PTRACE: Final = 19
SYS_ADMIN: Final = 21
SYS_NICE: Final = 23
MKNOD: Final = 27
SETFCAP: Final = 31

_MOST: Final = 64

# Docker's default set without MKNOD and AUDIT_WRITE.
HOST_ROOT: Final = frozenset(
    {
        CHOWN,
        DAC_OVERRIDE,
        FOWNER,
        FSETID,
        KILL,
        SETGID,
        SETUID,
        SETPCAP,
        NET_BIND_SERVICE,
        NET_RAW,
        SYS_CHROOT,
        SETFCAP,
    }
)
"""For a machine whose root is the host's root."""

CHROOT_ROOT: Final = HOST_ROOT - {SYS_CHROOT}
"""For a machine that nothing but its root folder keeps inside: a second chroot is the way out of the first."""

FOR_CHROOT: Final = {
    "CHOWN": CHOWN,
    "DAC_OVERRIDE": DAC_OVERRIDE,
    "FOWNER": FOWNER,
    "KILL": KILL,
    "MKNOD": MKNOD,
    "SETGID": SETGID,
    "SETPCAP": SETPCAP,
    "SETUID": SETUID,
    "SYS_CHROOT": SYS_CHROOT,
}
"""What the engine itself needs to make such machines, by the names that ``docker run --cap-add`` takes."""

FOR_NETWORK: Final = {"NET_ADMIN": NET_ADMIN, "SYS_ADMIN": SYS_ADMIN, "SYS_PTRACE": SYS_PTRACE}
"""What the engine needs, as root, to give machines networks of their own."""

NAMESPACE_ROOT: Final = HOST_ROOT | {NET_ADMIN, SYS_PTRACE, SYS_NICE}
"""For a machine with a user namespace: these reach no further than the machine's own processes and network."""


def limit_to(kept: frozenset[int]) -> None:
    """Drop every capability not in ``kept``, for this process and whatever it starts, for good."""
    for capability in range(_MOST):
        try:
            present = syscalls.prctl(syscalls.PR_CAPBSET_READ, capability)
        except OSError:
            # EINVAL: this kernel knows no more.
            break
        if present and capability not in kept:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    permitted = syscalls.permitted_capabilities()
    syscalls.set_capabilities(permitted & sum(1 << capability for capability in kept))


def missing(wanted: Mapping[str, int]) -> list[str]:
    """The names of those that this process does not hold."""
    return [name for name, number in wanted.items() if not has_permitted(number)]


def has_permitted(capability: int) -> bool:
    """Whether this process holds ``capability`` in its own user namespace."""
    return bool(syscalls.permitted_capabilities() >> capability & 1)
