"""What the host lends to every machine, and by which marks a change of it is seen."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Final

_CANDIDATES: Final = ("usr", "opt", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Files that change with every installed package.
_PACKAGE_MARKS: Final = (
    "var/lib/dpkg/status",
    "var/lib/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "var/lib/pacman/local",
    "lib/apk/db/installed",
)
# Raise it when the generated base changes, so that layers made on the old one are not reused.
_BASE_FORMAT: Final = 1


def shared_folders(host: Path = Path("/")) -> tuple[str, ...]:
    """Top-level folders of the host that machines see below their own changes; ``usr`` comes first.

    On hosts with a merged /usr these are ``usr`` and ``opt`` alone: the others are links into ``usr``.
    """
    found = [name for name in _CANDIDATES if (host / name).is_dir() and not (host / name).is_symlink()]
    if "usr" not in found:
        raise OSError("this host has no /usr folder, so it cannot lend one to sandboxes")
    return tuple(found)


def fingerprint(flavour: str, host: Path = Path("/")) -> str:
    """Identity of the base on this host: system release, architecture, installed packages, and how it is built."""
    digest = hashlib.sha256(f"{_BASE_FORMAT}\n{flavour}\n{platform.machine()}\n".encode())
    for name in ("etc/os-release", *_PACKAGE_MARKS):
        path = host / name
        digest.update(name.encode())
        try:
            content = path.read_bytes() if path.stat().st_size < 1 << 26 and path.is_file() else _mark(path)
        except OSError:
            continue
        digest.update(hashlib.sha256(content).digest())
    digest.update("\n".join(shared_folders(host)).encode())
    return digest.hexdigest()[:16]


def _mark(path: Path) -> bytes:
    return str(path.stat().st_mtime_ns).encode()
