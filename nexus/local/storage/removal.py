"""Removing trees that machines have written, whatever modes they left on them.

``python -m nexus.local.storage.removal PATH`` does it in a process of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nexus.local.outliving import let_outlive

# Half of PATH_MAX: what lies directly below is still in reach.
_LONG_PATH: Final = 2048
_ASIDE: Final = ".removed-"


class RemovalStoppedError(Exception):
    """The removal was asked to stop; what is left can be removed later."""


def remove_tree(path: Path, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Remove ``path`` and everything below it; nothing there is fine. Symbolic links are never followed.

    Several may remove the same tree at once: a process that :func:`remove_aside` started, and who finds its leftovers.

    Overlay work folders have mode 000, and a machine may take the write bit off its own folders: an ordinary user has
    to give it back before the content can go. ``should_stop`` is asked once a folder; raises RemovalStoppedError when
    it says yes.
    """
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_folder:
        path.unlink(missing_ok=True)
        return
    _empty(path, should_stop)
    _remove_folder(path)


def remove_aside(path: Path) -> None:
    """Have ``path`` gone at once: it is renamed, and a process of its own removes it, however long that takes.

    Where nothing can be renamed (a mount point, a folder of somebody else's above it) it is removed right here; a mount
    point itself stays, empty. What a killed process leaves is found by :func:`leftovers_of`.
    """
    aside = path.with_name(f".{path.name}{_ASIDE}{secrets.token_hex(4)}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    except OSError:
        try:
            remove_tree(path)
        except OSError as problem:
            if problem.errno != errno.EBUSY or any(path.iterdir()):
                raise
        return
    remove_in_background(aside)


def leftovers_of(path: Path) -> list[Path]:
    """What was renamed by :func:`remove_aside` and is still there."""
    return sorted(path.parent.glob(f".{path.name}{_ASIDE}*"))


def remove_in_background(path: Path) -> None:
    """Start a process that removes ``path`` and that nobody has to wait for."""
    let_outlive(
        subprocess.Popen(
            [sys.executable, "-P", "-m", __spec__.name, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))},
        )
    )


def _empty(folder: Path, should_stop: Callable[[], bool]) -> None:
    """Remove the content of ``folder``; iterative, since a machine may nest folders as deep as it likes."""
    pending = [folder]
    while pending:
        if should_stop():
            raise RemovalStoppedError
        current = pending[-1]
        subfolders = _remove_files(current)
        if subfolders:
            pending.extend(_within_reach(subfolder, folder) for subfolder in subfolders)
        else:
            pending.pop()
            if current != folder:
                _remove_folder(current)


def _within_reach(path: Path, top: Path) -> Path:
    """``path``, moved up to ``top`` when its name grows towards what the kernel takes in one call."""
    if len(os.fsencode(path)) < _LONG_PATH:
        return path
    with contextlib.suppress(FileNotFoundError):
        return path.rename(top / secrets.token_hex(8))
    return path


def _remove_files(folder: Path) -> list[Path]:
    """Remove the files of one folder and return the folders that are left in it."""
    if os.geteuid() != 0:
        with contextlib.suppress(OSError):
            folder.chmod(0o700)
    subfolders: list[Path] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                subfolders.append(Path(entry.path))
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)  # noqa: PTH108 - many thousand calls, entry.path is a string
    return subfolders


def _remove_folder(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()


if __name__ == "__main__":
    remove_tree(Path(sys.argv[1]))
