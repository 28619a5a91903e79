"""Removing trees that machines have written, whatever modes they left on them."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

# Half of PATH_MAX: what lies directly below is still in reach.
_LONG_PATH: Final = 2048


def remove_tree(path: Path) -> None:
    """Remove ``path`` and everything below it; nothing there is fine. Symbolic links are never followed.

    Overlay work folders have mode 000, and a machine may take the write bit off its own folders: an ordinary user has
    to give it back before the content can go.
    """
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_folder:
        path.unlink(missing_ok=True)
        return
    _empty(path)
    path.rmdir()


def _empty(folder: Path) -> None:
    """Remove the content of ``folder``; iterative, since a machine may nest folders as deep as it likes."""
    pending = [folder]
    while pending:
        current = pending[-1]
        subfolders = _remove_files(current)
        if subfolders:
            pending.extend(_within_reach(subfolder, folder) for subfolder in subfolders)
        else:
            pending.pop()
            if current != folder:
                current.rmdir()


def _within_reach(path: Path, top: Path) -> Path:
    """``path``, moved up to ``top`` when its name grows towards what the kernel takes in one call."""
    if len(os.fsencode(path)) < _LONG_PATH:
        return path
    return path.rename(top / secrets.token_hex(8))


def _remove_files(folder: Path) -> list[Path]:
    """Remove the files of one folder and return the folders that are left in it."""
    if os.geteuid() != 0:
        with contextlib.suppress(OSError):
            folder.chmod(0o700)
    subfolders: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                subfolders.append(Path(entry.path))
            else:
                os.unlink(entry.path)  # noqa: PTH108 - many thousand calls, entry.path is a string
    return subfolders
