"""What is read from a disk in pieces, for those who must not wait for disks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator


async def pieces_of(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece is read in a thread, when the one before has been taken."""
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
