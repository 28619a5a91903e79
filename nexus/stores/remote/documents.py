"""A small document beside a shared state, which several programs change: see ``nexus.stores.documents``."""

from __future__ import annotations

import asyncio

from nexus.stores.remote.objects import ConflictError, Objects, Stored


class RemoteDocument:
    """See :class:`nexus.stores.documents.SharedDocument`."""

    def __init__(self, objects: Objects, name: str) -> None:
        self._objects = objects
        self._name = name

    async def read(self) -> Stored | None:
        return await asyncio.to_thread(self._objects.get, self._name)

    async def replace(self, content: bytes, expected: str | None) -> bool:
        try:
            await asyncio.to_thread(self._objects.put, self._name, content, expected)
        except ConflictError:
            return False
        return True

    async def remove(self) -> None:
        await asyncio.to_thread(self._objects.remove, [self._name])
