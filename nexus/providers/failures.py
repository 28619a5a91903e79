"""nexus' own codes of what can go wrong with a live sandbox, and which of them a failed command is a case of."""

from __future__ import annotations

import re
from typing import Final

SANDBOX_NOT_FOUND: Final = "sandbox-not-found"
SANDBOX_NOT_RUNNING: Final = "sandbox-not-running"
SANDBOX_UNREACHABLE: Final = "sandbox-unreachable"
EXECUTION_TIMEOUT: Final = "execution-timeout"
EXECUTION_ERROR: Final = "execution-error"
INSUFFICIENT_RESOURCES: Final = "insufficient-resources"
PERMISSION_DENIED: Final = "permission-denied"
QUOTA_EXCEEDED: Final = "quota-exceeded"

_KILLED: Final = 137
"""How a shell tells of a process that was killed; where nobody else did, the kernel did it for want of memory."""
_NO_DISK: Final = re.compile(r"No space left on device|ENOSPC|Disk quota exceeded", re.IGNORECASE)
_NO_MEMORY: Final = re.compile(
    r"Cannot allocate memory|^MemoryError|heap out of memory|std::bad_alloc|ENOMEM|out of memory",
    re.IGNORECASE | re.MULTILINE,
)
_LAST: Final = 4000
"""Characters at the end of what a command wrote that are looked at: what ended it is said last."""


def shortage(exit_code: int, output: str) -> str | None:
    """What a command that failed had too little of: ``disk`` or ``memory``; None where nothing tells that."""
    last = output[-_LAST:]
    if _NO_DISK.search(last):
        return "disk"
    if exit_code == _KILLED or _NO_MEMORY.search(last):
        return "memory"
    return None


def shortage_hint(resource: str) -> str:
    """What to do about it."""
    if resource == "disk":
        return "remove what is not needed in the sandbox, or keep large files on a volume"
    return "let it use less memory, or make the sandbox from a template with more (memory:)"
