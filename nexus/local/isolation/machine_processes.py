"""All processes of one machine, seen and signalled from outside: for hosts without usable control groups."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_ROUNDS: Final = 50


class MachineProcesses:
    """The processes in the PID namespace of one init, or in one below it; see :meth:`below` for machines without."""

    def __init__(self, init: int) -> None:
        self._init = init
        self._counts_itself = True

    @classmethod
    def below(cls, keeper: int) -> MachineProcesses:
        """All that ``keeper`` started and that was left to it, the keeper apart."""
        processes = cls(keeper)
        processes._counts_itself = False
        return processes

    def pids(self) -> list[int]:
        """Host pids of every process.

        Membership shows in the parents: an init, or a keeper, adopts the orphans, so every process leads up to it.
        """
        found = {self._init}
        pending = _parents()
        while grown := {pid for pid, parent in pending.items() if parent in found}:
            found |= grown
            pending = {pid: parent for pid, parent in pending.items() if pid not in grown}
        return sorted(found if self._counts_itself else found - {self._init})

    def children(self) -> list[int]:
        """The direct ones."""
        return [pid for pid, parent in _parents().items() if parent == self._init]

    def stop(self) -> None:
        """SIGSTOP to all, again until no new process appears: one may fork while others are being stopped."""
        stopped: set[int] = set()
        for _ in range(_ROUNDS):
            new = set(self.pids()) - stopped
            if not new:
                return
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= new

    def resume(self) -> None:
        """SIGCONT to all, the init last so that it finds its children running."""
        for pid in reversed(self.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """End all, and take their statuses: only for processes that are, or become, children of this one."""
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)

    def cpu_seconds(self) -> float:
        """Of the living processes and their reaped children."""
        total = 0
        for pid in self.pids():
            if fields := _stat_fields(pid):
                total += sum(int(value) for value in fields[11:15])
        return total / _CLOCK_TICKS

    def memory(self) -> int:
        """Resident bytes that are not shared with files or other processes' memory."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError, ValueError):
                resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
                total += (int(resident) - int(shared)) * _PAGE
        return total


def _parents() -> dict[int, int]:
    """Every process of the host, and its parent."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat_fields(int(entry.name))
            if fields:
                parents[int(entry.name)] = int(fields[1])
    return parents


def _stat_fields(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the state on; empty when the process is gone.

    Bytes, because the command's name before them may be in any encoding, and be cut off within a character.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
