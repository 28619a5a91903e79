"""Which layers stay, and when the others go.

A layer is *needed* while a tagged build of a template or snapshot has it, a sandbox stands on it, or work under way has
pinned it. What is not needed is of two kinds:

- layers of build steps are a cache: the next build that comes to the same step takes them. They stay until they are
  pruned.
- layers of snapshots and forks can never be made again and serve nobody: they go as soon as nothing needs them, and at
  the start of the engine those that a crash has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

_log = logging.getLogger(__name__)


class LayerStore(Protocol):
    """The part of an isolation that holds layers."""

    async def drop_layers(self, needed: frozenset[str], *, snapshots_only: bool, measure: bool = False) -> int: ...


class Retention:
    """What needs layers: the sources that were registered, and pins for what is under way."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], Iterable[str]]] = []
        self._pins: Counter[str] = Counter()

    def add_source(self, source: Callable[[], Iterable[str]]) -> None:
        """``source`` names the layers it needs, each time it is asked."""
        self._sources.append(source)

    @contextlib.contextmanager
    def pinned(self, layers: Sequence[str]) -> Iterator[None]:
        """Keep ``layers`` until the block ends, whatever else needs them. They need not exist yet."""
        self._pins.update(layers)
        try:
            yield
        finally:
            self._pins.subtract(layers)
            self._pins = +self._pins

    def needed(self) -> frozenset[str]:
        return frozenset(self._pins).union(*(source() for source in self._sources))


class Janitor:
    """Removes layers that nothing needs."""

    def __init__(self, store: LayerStore, retention: Retention) -> None:
        self._store = store
        self._retention = retention
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """Something that may have needed layers is gone."""
        self._wake.set()

    async def run(self) -> None:
        """Collect snapshots' layers now and whenever woken, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._store.drop_layers(self._retention.needed(), snapshots_only=True)
            except OSError:
                _log.exception("layers that nothing needs could not be removed")

    async def prune(self) -> int:
        """Remove the cache of build steps too; returns the bytes that were freed."""
        return await self._store.drop_layers(self._retention.needed(), snapshots_only=False, measure=True)
