"""Which of root's powers a machine keeps."""

from __future__ import annotations

import os
from pathlib import Path
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
SETFCAP: Final = 31

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

NAMESPACE_ROOT: Final = HOST_ROOT | {NET_ADMIN, SYS_PTRACE, SYS_NICE}
"""For a machine with a user namespace: these reach no further than the machine's own processes and network."""


def limit_to(kept: frozenset[int]) -> None:
    """Drop every capability not in ``kept``, for this process and whatever it starts, for good."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        if capability not in kept and syscalls.prctl(syscalls.PR_CAPBSET_READ, capability):
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    available = _permitted()
    syscalls.set_capabilities(available & sum(1 << capability for capability in kept))


def has_effective(capability: int) -> bool:
    """Whether this process holds ``capability`` in its own user namespace."""
    return bool(_status_mask("CapEff") >> capability & 1) and os.geteuid() == 0


def _permitted() -> int:
    return _status_mask("CapPrm")


def _status_mask(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split(":")[1], 16)
    return 0
