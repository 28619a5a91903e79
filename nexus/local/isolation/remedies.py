"""From what failed to what mends it: one sentence or command per cause."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from nexus.local.isolation import capabilities
from nexus.local.isolation.tiers import Tier

FOR_LIMITS: Final = "run nexus as root on a host whose /sys/fs/cgroup is writable"

IN_CONTAINER: Final = (
    "start the container with: docker run --privileged -v nexus:/var/lib/nexus -e NEXUS_HOME=/var/lib/nexus …"
)
_AS_ROOT_OF_CONTAINER: Final = "run nexus as root of the container: docker run --user 0 …"
_SYSCTLS: Final = (
    ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
)
_MARKS_OF_CONTAINERS: Final = ("/.dockerenv", "/run/.containerenv")


def for_tier(tier: Tier, failure: str) -> str | None:
    """What to do about ``failure`` of ``tier``; None when nothing is known to help."""
    if "Read-only file system" in failure or "No space left" in failure:
        return "set NEXUS_HOME to a folder that can be written to and has some gigabytes free"
    if "of type overlay" in failure and "mount overlay" in failure and _in_container():
        # A volume alone seldom is enough: all at once, so that nobody has to begin three times.
        return IN_CONTAINER
    if not tier.namespaces:
        return _for_chroot(failure)
    if tier.single_uid:
        return _for_user_namespaces(failure)
    if os.geteuid() != 0:
        return _as_root()
    if "whose programs sandboxes use" in failure:
        # What a container stands on is not its own to choose, and the next tier keeps the same things apart.
        return None
    if "cannot map ids" in failure:
        return "set NEXUS_HOME to a folder on ext4, xfs or btrfs"
    if "mount_setattr" in failure:
        return _newer_kernel(5, 19)
    if "mount overlay" in failure:
        return "set NEXUS_HOME to a folder that is not on an overlay, for example on a volume of the container"
    if "Operation not permitted" in failure:
        return IN_CONTAINER
    return None


def for_network() -> str | None:
    """What to do where machines work, but get no network of their own."""
    if os.geteuid() == 0 and capabilities.missing(capabilities.FOR_NETWORK):
        return _with(capabilities.FOR_NETWORK)
    return _newer_kernel(5, 14)


def _for_chroot(failure: str) -> str | None:
    if os.geteuid() != 0:
        return _AS_ROOT_OF_CONTAINER
    if "too much to copy" in failure:
        return IN_CONTAINER
    if "capabilities" in failure or "Operation not permitted" in failure:
        return _with(capabilities.FOR_CHROOT)
    if "Permission denied" in failure:
        return "set NEXUS_HOME to a folder on a file system that is mounted without nodev"
    return None


def _for_user_namespaces(failure: str) -> str | None:
    for name, closed, command in _SYSCTLS:
        if _sysctl(name) == closed:
            return f"{command}  (or, safer: {_as_root()})"
    if newer := _newer_kernel(5, 11):
        return newer
    if "mount proc" in failure or "Operation not permitted" in failure:
        return IN_CONTAINER
    if "mount overlay" in failure:
        return "set NEXUS_HOME to a folder on ext4, xfs, btrfs or tmpfs"
    return None


def _as_root() -> str:
    """Images have no sudo; machines that were made of one may still have the mark of a container."""
    return _AS_ROOT_OF_CONTAINER if _in_container() and shutil.which("sudo") is None else "sudo -E nexus local start"


def _in_container() -> bool:
    return any(Path(mark).exists() for mark in _MARKS_OF_CONTAINERS)


def _with(wanted: Iterable[str]) -> str:
    return "docker run " + " ".join(f"--cap-add {name}" for name in wanted) + " …"


def _newer_kernel(*wanted: int) -> str | None:
    """None where the kernel is new enough."""
    if _kernel() >= wanted:
        return None
    return f"run a kernel of version {'.'.join(map(str, wanted))} or later (this is {platform.release()})"


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def _kernel() -> tuple[int, int]:
    major, minor, *_ = platform.release().split("-")[0].split(".")
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)
