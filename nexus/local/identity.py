"""Which code a daemon runs: the installed version, and marks of the engine's own files."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

_DISTRIBUTION = "nexus-e2b"
_FOLDER = Path(__file__).parent


def nexus_version() -> str:
    """The installed version of nexus; ``0+source`` when it runs from a source tree that was never installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:
        return "0+source"


@cache
def code_mark(folder: Path = _FOLDER) -> str:
    """A digest of names, sizes and times of the engine's modules, as they were at the first call.

    An upgrade or an edit changes it, so that the next command replaces the daemon. Content is not read: it takes a few
    milliseconds.
    """
    digest = hashlib.sha256()
    for path in sorted(_modules(os.fspath(folder))):
        status = os.stat(path)  # noqa: PTH116 - called for every command
        digest.update(f"{path[len(os.fspath(folder)) :]}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _modules(folder: str) -> list[str]:
    found: list[str] = []
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                elif entry.name.endswith(".py"):
                    found.append(entry.path)
    return found
