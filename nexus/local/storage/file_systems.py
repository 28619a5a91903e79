"""Which file systems can hold what machines write."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_OCTAL: Final = re.compile(r"\\([0-7]{3})")
# The kernel takes none of these for the upper folder of an overlay.
_UNFIT: Final = frozenset({"overlay", "nfs", "nfs4", "cifs", "smb3", "9p", "vfat", "exfat", "fuse.sshfs", "vboxsf"})


def file_system_of(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that ``path``, which need not exist yet, is or would be on."""
    place = os.path.realpath(path)
    kind, longest = "", -1
    for line in mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        # The kernel writes spaces and the like in octal.
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), before.split()[4])
        below = point == "/" or place == point or place.startswith(point + "/")
        # A later mount on the same point hides the earlier one.
        if below and len(point) >= longest:
            kind, longest = after.split()[0], len(point)
    return kind


def unfit_folder(path: Path) -> str | None:
    """Why sandboxes cannot be kept in ``path``; None when nothing speaks against it."""
    kind = file_system_of(path)
    if kind not in _UNFIT:
        return None
    return f"{path} is on a file system of type {kind}, which cannot lie under a sandbox's root (mount overlay)"
