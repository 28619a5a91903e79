"""A few mebibytes kept for the day the disk is full, so that the engine can still start and have something deleted."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

_SIZE: Final = 4 << 20
_PLENTY: Final = 64 << 20


def drop_if_needed(home: Path) -> bool:
    """Give the reserve back to a disk that is full; True when that was done. Nothing may be written before."""
    if shutil.disk_usage(home).free >= _SIZE or not _file(home).exists():
        return False
    _file(home).unlink()
    return True


def take_if_possible(home: Path) -> None:
    """Have a reserve again, where it is not missed."""
    if _file(home).exists() or shutil.disk_usage(home).free < _PLENTY:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(_file(home), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _SIZE)
        finally:
            os.close(descriptor)


def _file(home: Path) -> Path:
    return home / "reserve"
