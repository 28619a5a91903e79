"""Copies of what a machine has written, exact in everything an overlay's upper folder is made of."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path


def copy_written(source: Path, target: Path, *, single_uid: bool) -> None:
    """Copy a tree: holes, hard links, times, owners, modes, extended attributes, whiteouts and opaque folders.

    File systems that can share blocks do. With ``single_uid`` the copy is made in a user namespace, where this
    process's user has root's powers over its own files: a machine may leave folders that it may not even list itself.
    Raises OSError, with ENOSPC when the disk is full.
    """
    command = ["cp", "-a", "--reflink=auto", "--", str(source), str(target)]
    if shutil.which("cp") is None:
        raise OSError("copies of what sandboxes have written need the program cp")
    if single_uid and shutil.which("unshare") is not None:
        command = ["unshare", "--user", "--map-root-user", "--", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode == 0:
        return
    said = done.stderr.strip()[-500:]
    if os.strerror(errno.ENOSPC) in said:
        raise OSError(errno.ENOSPC, "the disk is full")
    raise OSError(f"copying what the machine has written failed: {said}")
