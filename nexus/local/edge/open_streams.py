"""The connections that are in use for each sandbox, so that they can be cut when it is killed or paused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class OpenStreams:
    """Registry of connections by sandbox."""

    def __init__(self) -> None:
        self._streams: dict[str, set[tuple[asyncio.StreamWriter, ...]]] = {}

    @contextmanager
    def carrying(self, sandbox_id: str, *writers: asyncio.StreamWriter) -> Iterator[None]:
        """Count these connections as the sandbox's while the block runs."""
        streams = self._streams.setdefault(sandbox_id, set())
        streams.add(writers)
        try:
            yield
        finally:
            streams.discard(writers)
            if not streams and self._streams.get(sandbox_id) is streams:
                del self._streams[sandbox_id]

    def drop(self, sandbox_id: str) -> None:
        """Cut every connection of the sandbox at once, without a proper end that a client could take for success."""
        for writers in list(self._streams.get(sandbox_id, ())):
            for writer in writers:
                writer.transport.abort()

    def count(self, sandbox_id: str) -> int:
        """How many streams are open to the sandbox."""
        return len(self._streams.get(sandbox_id, ()))
