"""The kernel's inotify interface, by way of the C library."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.inotify_init1.argtypes = (ctypes.c_int,)
_LIBC.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_LIBC.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)

_HEAD = struct.Struct("iIII")
_READ = 64 * 1024


class Mask(IntFlag):
    """The event bits that are used here."""

    MODIFY = 0x2
    ATTRIB = 0x4
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    IGNORED = 0x8000
    ONLYDIR = 0x1000000
    ISDIR = 0x40000000


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One event of the kernel; ``name`` is empty when it is about the watched directory itself.

    The two halves of a rename have the same ``cookie``.
    """

    watch: int
    mask: int
    cookie: int
    name: str


class Inotify:
    """One inotify instance, non-blocking."""

    def __init__(self) -> None:
        self.descriptor: int = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")

    def add(self, path: str, mask: int) -> int:
        """Watch ``path`` and return the watch's number. Raises OSError."""
        return _checked(_LIBC.inotify_add_watch(self.descriptor, os.fsencode(path), mask), path)

    def remove(self, watch: int) -> None:
        """Stop a watch; one that is gone already is no error."""
        _LIBC.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> Iterator[RawEvent]:
        """The events that have arrived."""
        try:
            data = os.read(self.descriptor, _READ)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, cookie, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            yield RawEvent(watch, mask, cookie, os.fsdecode(data[at : at + length].rstrip(b"\0")))
            at += length

    def close(self) -> None:
        os.close(self.descriptor)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result
