"""Which process of which machine holds a lock: so that one that died is not waited for by others on the same machine.

A process is told by the machine's boot, its namespace of process ids, its id, and when it began. Where any of these
can't be had, nothing is known, and the lease decides.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def this_process() -> str:
    """A text that no other process ever has; "" where that can't be told."""
    machine, began = _machine(), _began(os.getpid())
    return f"{machine}/{os.getpid()}/{began}" if machine and began else ""


def has_ended(process: str) -> bool:
    """Whether it ran on this machine and is no more. False where that can't be told."""
    match process.split("/"):
        case [machine, pid, began] if machine and machine == _machine() and pid.isdigit():
            return _began(int(pid)) != began
        case _:
            return False


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in ticks since the boot; "" where there is no such one, or only what is left of one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The command's name is in parentheses and may hold anything, so count from behind it.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
