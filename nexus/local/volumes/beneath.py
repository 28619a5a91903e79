"""Opening paths that sandboxes have a say in: whatever links they made, nothing outside of the volume is reached.

The kernel resolves the whole path with the volume as its root (openat2(2)), so neither ``..`` nor a symbolic link, nor
one that is swapped while it is being followed, leads out of it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

_OPENAT2: Final = 437
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_IN_ROOT: Final = 0x10
# A path component that moves while it is being resolved makes the kernel give up rather than guess.
_TRIES: Final = 64

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root: int, path: str, flags: int, mode: int = 0) -> int:
    """A close-on-exec descriptor of ``path``, with the folder ``root`` standing for ``/``. Raises OSError."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    for _ in range(_TRIES):
        found = _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(root),
            ctypes.c_char_p(encoded or b"."),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if found >= 0:
            return int(found)
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number))


def resolved_path(root: int, fd: int) -> str | None:
    """The path below ``root`` of an open descriptor, free of links; None when it is no longer there."""
    top, found = (os.readlink(f"/proc/self/fd/{number}") for number in (root, fd))
    if found.endswith(" (deleted)") or not f"{found}/".startswith(f"{top}/"):
        return None
    return found[len(top) :] or "/"
