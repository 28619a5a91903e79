"""``GET /metrics``: what the machine uses, as seen from inside through ``/proc``."""

from __future__ import annotations

import os
import time
from pathlib import Path

_PROC = Path("/proc")
_MIB = 1024 * 1024


class Meter:
    """Samples use; CPU percentages are over the time since the last sample."""

    def __init__(self) -> None:
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._last: tuple[float, float] | None = None

    def sample(self) -> dict[str, int | float]:
        """One sample in the wire form of envd. Raises OSError where there is no ``/proc``."""
        memory = _meminfo()
        disk = os.statvfs("/")
        cpu_seconds, resident = self._processes()
        total = memory.get("MemTotal", 0)
        return {
            "ts": int(time.time()),
            "cpu_count": len(os.sched_getaffinity(0)),
            "cpu_used_pct": self._cpu_percent(cpu_seconds),
            "mem_total": total,
            "mem_used": resident,
            "mem_cache": memory.get("Cached", 0),
            "mem_total_mib": total // _MIB,
            "mem_used_mib": resident // _MIB,
            "disk_used": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
            "disk_total": disk.f_blocks * disk.f_frsize,
        }

    def _cpu_percent(self, cpu_seconds: float) -> float:
        now = time.monotonic()
        last, self._last = self._last, (now, cpu_seconds)
        if last is None or now <= last[0]:
            return 0.0
        # Processes that ended meanwhile took their time with them, so the difference can be below zero.
        return round(max(cpu_seconds - last[1], 0.0) / (now - last[0]) * 100, 2)

    def _processes(self) -> tuple[float, int]:
        """CPU seconds and private resident bytes of all processes of the machine."""
        ticks = pages = 0
        for directory in _PROC.iterdir():
            if not directory.name.isdigit():
                continue
            try:
                # Bytes: the command's name may be in any encoding, and be cut off within a character.
                fields = (directory / "stat").read_bytes().rpartition(b")")[2].split()
                statm = (directory / "statm").read_bytes().split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
            pages += max(int(statm[1]) - int(statm[2]), 0)
        return ticks / self._ticks_per_second, pages * self._page


def _meminfo() -> dict[str, int]:
    """``/proc/meminfo`` in bytes."""
    lines = (_PROC / "meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}
