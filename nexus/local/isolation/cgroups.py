"""Control groups: limits, accounts and freezing of a machine, as far as this host lets us use them.

Version 2 is preferred wherever its controllers are; version 1 hierarchies fill in what it lacks. Where neither can be
written, machines have no limits and are paused by signals.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nexus.local.isolation.base import Limits

_CONTROLLERS: Final = ("memory", "pids", "cpu")
_V1_HIERARCHIES: Final = (*_CONTROLLERS, "cpuacct", "freezer")
_FREEZE_LIMIT: Final = 5.0
_REMOVE_LIMIT: Final = 2.0
_PERIOD: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchies:
    """Where groups can be made on this host. ``v1`` has a folder per controller; ``v2`` None when not writable."""

    v2: Path | None = None
    v2_controllers: frozenset[str] = frozenset()
    v1: Mapping[str, Path] = field(default_factory=dict)

    @property
    def can_freeze(self) -> bool:
        return self.v2 is not None or "freezer" in self.v1

    @property
    def limits(self) -> frozenset[str]:
        """Those of memory, pids and cpu that can be limited."""
        return frozenset(_CONTROLLERS) & (self.v2_controllers | self.v1.keys())


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What a group has used. Bytes and seconds; None where nothing counts it."""

    cpu_seconds: float | None = None
    memory: int | None = None
    cache: int | None = None


def find_hierarchies(mountinfo: Path = Path("/proc/self/mountinfo")) -> Hierarchies:
    """Look at what is mounted and writable."""
    v2: Path | None = None
    controllers: frozenset[str] = frozenset()
    v1: dict[str, Path] = {}
    for line in mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        path, kind, options = Path(before.split()[4]), after.split()[0], after.split()[2]
        if kind not in ("cgroup", "cgroup2") or not os.access(path, os.W_OK):
            continue
        if kind == "cgroup2":
            v2, controllers = path, _enabled_controllers(path)
        else:
            v1.update({name: path for name in options.split(",") if name in _V1_HIERARCHIES})
    return Hierarchies(v2=v2, v2_controllers=controllers, v1=v1)


def _enabled_controllers(path: Path) -> frozenset[str]:
    """The controllers that groups below ``path`` get, after asking for those we use."""
    available = (path / "cgroup.controllers").read_text().split()
    for name in _CONTROLLERS:
        if name in available:
            # Refused where the group at ``path`` holds processes; then it stays without.
            with contextlib.suppress(OSError):
                (path / "cgroup.subtree_control").write_text(f"+{name}")
    return frozenset((path / "cgroup.subtree_control").read_text().split())


class MachineGroup:
    """The groups of one machine, all of one name."""

    def __init__(self, hierarchies: Hierarchies, name: str) -> None:
        self._v2 = hierarchies.v2 / name if hierarchies.v2 else None
        self._v1 = {
            controller: path / name
            for controller, path in hierarchies.v1.items()
            if controller not in hierarchies.v2_controllers and not (controller == "freezer" and hierarchies.v2)
        }
        self._v2_controllers = hierarchies.v2_controllers

    @property
    def can_freeze(self) -> bool:
        return self._v2 is not None or "freezer" in self._v1

    def create(self, limits: Limits) -> None:
        """Make the groups and set the limits; a host that refuses one limit still gets the others."""
        for folder in self._folders():
            folder.mkdir(exist_ok=True)
        memory = limits.memory_mb * 1024 * 1024
        if self._v2:
            self._limit(self._v2 / "memory.max", str(memory))
            self._limit(self._v2 / "pids.max", str(limits.processes))
            self._limit(self._v2 / "cpu.max", f"{limits.cpu_count * _PERIOD} {_PERIOD}")
        if (group := self._v1.get("memory")) is not None:
            self._limit(group / "memory.limit_in_bytes", str(memory))
        if (group := self._v1.get("pids")) is not None:
            self._limit(group / "pids.max", str(limits.processes))
        if (group := self._v1.get("cpu")) is not None:
            self._limit(group / "cpu.cfs_period_us", str(_PERIOD))
            self._limit(group / "cpu.cfs_quota_us", str(limits.cpu_count * _PERIOD))

    def admit(self, pid: int) -> None:
        """Move a process, and so its future children, into the groups."""
        for folder in self._folders():
            (folder / "cgroup.procs").write_text(str(pid))

    def freeze(self, frozen: bool) -> None:
        """Stop or continue every process; returns when the kernel says it is so. Raises TimeoutError."""
        if self._v2:
            (self._v2 / "cgroup.freeze").write_text("1" if frozen else "0")
            wanted = f"frozen {int(frozen)}"
            events = self._v2 / "cgroup.events"
            _wait(lambda: wanted in events.read_text())
        elif folder := self._v1.get("freezer"):
            state = "FROZEN" if frozen else "THAWED"
            (folder / "freezer.state").write_text(state)
            _wait(lambda: (folder / "freezer.state").read_text().strip() == state)

    def kill(self) -> None:
        """End every process at once where the kernel can (version 2, Linux 5.14), and let frozen ones die."""
        if self._v2:
            with contextlib.suppress(OSError):
                (self._v2 / "cgroup.kill").write_text("1")
        if folder := self._v1.get("freezer"):
            with contextlib.suppress(OSError):
                (folder / "freezer.state").write_text("THAWED")

    def accounts(self) -> Accounts:
        """What the group has used so far."""
        return Accounts(
            cpu_seconds=self._cpu_seconds(),
            memory=self._number("memory", "memory.current", "memory.usage_in_bytes"),
            cache=self._cache(),
        )

    def remove(self) -> None:
        """Remove the groups; the last processes may take a moment to leave them."""
        deadline = time.monotonic() + _REMOVE_LIMIT
        for folder in self._folders():
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        return
                    time.sleep(0.005)

    def _folders(self) -> list[Path]:
        # One folder may serve several version 1 controllers.
        return list(dict.fromkeys([*([self._v2] if self._v2 else []), *self._v1.values()]))

    @staticmethod
    def _limit(path: Path, value: str) -> None:
        with contextlib.suppress(OSError):
            path.write_text(value)

    def _cpu_seconds(self) -> float | None:
        if self._v2:
            usage = _statistics(self._v2 / "cpu.stat").get("usage_usec")
            if usage is not None:
                return usage / 1e6
        folder = self._v1.get("cpuacct")
        nanoseconds = _read_number(folder / "cpuacct.usage") if folder else None
        return None if nanoseconds is None else nanoseconds / 1e9

    def _cache(self) -> int | None:
        if self._v2 and "memory" in self._v2_controllers:
            return _statistics(self._v2 / "memory.stat").get("file")
        folder = self._v1.get("memory")
        return _statistics(folder / "memory.stat").get("total_cache") if folder else None

    def _number(self, controller: str, v2_name: str, v1_name: str) -> int | None:
        if self._v2 and controller in self._v2_controllers:
            return _read_number(self._v2 / v2_name)
        folder = self._v1.get(controller)
        return _read_number(folder / v1_name) if folder else None


def remove_empty_groups(hierarchies: Hierarchies, prefix: str) -> None:
    """Remove groups of machines that are gone; those with processes stay."""
    for root in {path for path in (hierarchies.v2, *hierarchies.v1.values()) if path}:
        for folder in root.glob(f"{prefix}*"):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _FREEZE_LIMIT
    delay = 0.0005
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError("the machine's processes could not be stopped or continued in time")
        time.sleep(delay)
        delay = min(delay * 2, 0.02)


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _statistics(path: Path) -> dict[str, int]:
    try:
        pairs = (line.split() for line in path.read_text().splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
    except (OSError, ValueError):
        return {}
