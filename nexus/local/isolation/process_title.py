"""What ``ps`` and ``/proc/PID/cmdline`` say of a process that was forked, not executed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nexus.local.isolation import syscalls


@dataclass(frozen=True, slots=True)
class _Region:
    start: int
    end: int

    def fill(self, text: bytes) -> None:
        size = self.end - self.start
        if size > 0:
            syscalls.overwrite_memory(self.start, text[: size - 1].ljust(size, b"\0"))


class ProcessTitle:
    """The memory that held this process's arguments and environment when it was executed.

    Forks inherit it. Found once, while ``/proc`` is the host's.
    """

    def __init__(self) -> None:
        # The name in field 2 may hold spaces and brackets; what follows its last bracket does not.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        self._arguments = _Region(int(fields[45]), int(fields[46]))
        self._environment = _Region(int(fields[47]), int(fields[48]))

    def forget_environment(self) -> None:
        """Empty the environment, for Python, for the C library, and for readers of ``/proc``."""
        os.environ.clear()
        syscalls.clear_environment()
        self._environment.fill(b"")

    def set(self, title: str) -> None:
        """Replace the command line; what is longer than the original is cut off."""
        self._arguments.fill(title.encode())
        syscalls.set_process_name(title.rpartition("/")[2])
