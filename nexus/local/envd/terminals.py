"""Where new terminals come from."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Final

_TIOCSPTLCK: Final = 0x40045431
_TIOCGPTPEER: Final = 0x5441

_devices: list[int] = []


def remember_devices(folder: str = "/dev") -> None:
    """Have terminals of ``folder`` although it will be out of sight: for machines that cannot mount their own.

    The descriptor stays in this process; programs do not inherit it.
    """
    _devices[:] = [os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]


def open_pair() -> tuple[int, int]:
    """A new terminal: the end to keep, and the end for a program. Raises OSError."""
    if not _devices:
        return os.openpty()
    ours = _open_multiplexer(_devices[0])
    try:
        fcntl.ioctl(ours, _TIOCSPTLCK, struct.pack("i", 0))
        theirs = fcntl.ioctl(ours, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        os.close(ours)
        raise
    return ours, theirs


def _open_multiplexer(devices: int) -> int:
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open("pts/ptmx", flags, dir_fd=devices)
    except OSError:
        return os.open("ptmx", flags, dir_fd=devices)
