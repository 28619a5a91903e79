"""Tar archives made while they are sent: nothing is kept but the piece of a file at hand."""

from __future__ import annotations

import asyncio
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_CHUNK: Final = 256 * 1024
_BLOCK: Final = tarfile.BLOCKSIZE
_THREAD_FROM: Final = 64 * 1024
"""Files of this size and more are read in a thread; smaller ones cost less than the switch."""
_PIECES_FROM: Final = 1024 * 1024
"""Files of this size and more are sent piece by piece, and must have the size that they are said to have."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive. ``read`` gives its content in pieces, when it is its turn."""

    name: str
    mode: int
    size: int
    read: Callable[[], Iterator[bytes]]


async def tar_stream(members: Iterable[Member]) -> AsyncIterator[bytes]:
    """The bytes of a tar archive of ``members``, in pieces that are worth a write each."""
    pending = bytearray()
    for member in members:
        if member.size >= _PIECES_FROM:
            yield bytes(pending) + _header(member, member.size)
            pending.clear()
            pieces = member.read()
            while piece := await asyncio.to_thread(next, pieces, b""):
                yield piece
            pending += bytes(-member.size % _BLOCK)
            continue
        content = await asyncio.to_thread(_whole, member) if member.size >= _THREAD_FROM else _whole(member)
        pending += _header(member, len(content))
        pending += content
        pending += bytes(-len(content) % _BLOCK)
        if len(pending) >= _CHUNK:
            yield bytes(pending)
            pending.clear()
    pending += bytes(2 * _BLOCK)
    yield bytes(pending)


def _whole(member: Member) -> bytes:
    return b"".join(member.read())


def _header(member: Member, size: int) -> bytes:
    info = tarfile.TarInfo(member.name)
    info.mode, info.size, info.mtime = member.mode & 0o7777, size, int(time.time())
    # GNU's format is what every tar reads, also with long names.
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
