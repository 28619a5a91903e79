"""Pipes: what comes in by one, as a stream, and what nobody reads any more."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator
from typing import TextIO

_CHUNK = 65_536


def discard(stream: TextIO) -> None:
    """Let what is written from now on go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def piped_input() -> AsyncIterator[bytes] | None:
    """What comes in by a pipe, a file or a socket; None from a terminal, or where there is nothing to come."""
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        return None
    return _chunks(descriptor) if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode) else None


async def _chunks(descriptor: int) -> AsyncIterator[bytes]:
    """Reads in a thread of its own, which nobody waits for: a read that never ends must not keep us from ending."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(4)

    def read() -> None:
        try:
            while chunk := os.read(descriptor, _CHUNK):
                room.acquire()
                loop.call_soon_threadsafe(queue.put_nowait, chunk)
            loop.call_soon_threadsafe(queue.put_nowait, b"")
        except (OSError, RuntimeError):  # RuntimeError: the loop has ended, and so has the command
            return

    threading.Thread(target=read, daemon=True).start()
    while chunk := await queue.get():
        room.release()
        yield chunk
