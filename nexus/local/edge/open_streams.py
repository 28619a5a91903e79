"""The connections that are in use for each sandbox, so that they can be cut when it is killed or paused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Cut = Callable[[], None]
"""Ends one connection, or what it carries, at once; may be called more than once."""


class OpenStreams:
    """Registry of connections by sandbox."""

    def __init__(self) -> None:
        self._cuts: dict[str, list[Cut]] = {}

    @contextmanager
    def carrying(self, sandbox_id: str, cut: Cut) -> Iterator[None]:
        """Count a connection as the sandbox's while the block runs; ``cut`` ends it."""
        cuts = self._cuts.setdefault(sandbox_id, [])
        cuts.append(cut)
        try:
            yield
        finally:
            cuts.remove(cut)
            if not cuts and self._cuts.get(sandbox_id) is cuts:
                del self._cuts[sandbox_id]

    def drop(self, sandbox_id: str) -> None:
        """Cut every connection of the sandbox at once, without a proper end that a client could take for success."""
        for cut in list(self._cuts.get(sandbox_id, ())):
            cut()

    def count(self, sandbox_id: str) -> int:
        """How many connections are in use for the sandbox, both sides counted."""
        return len(self._cuts.get(sandbox_id, ()))
