"""A folder as it stands: what is there to be worked with, whatever is wrong with its manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from nexus.api.account import AsyncLive, process_or_own
from nexus.api.live import Grounds, Target
from nexus.api.remembered import AsyncRemembered
from nexus.stores import Backend
from nexus.workflows import operating, status
from nexus.workflows.outputs import backend_of


class AsyncFolder(AsyncLive, AsyncRemembered):
    """The folder of a project, or any other, as commands find it that need no valid manifest.

    In a project (or below its folder) the live sandboxes are those of its environment, by their names; elsewhere all of
    the account, by their ids. What is remembered is there only in a project: without one, it raises NexusError.
    ``target`` and ``process`` are as those of :class:`AsyncAccount`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = ".",
        *,
        environment: str = "default",
        target: Target | None = None,
        process: Mapping[str, str] | None = None,
    ) -> None:
        self._path = Path(path).absolute()
        own = process_or_own(process)
        AsyncLive.__init__(self, Grounds(process=own, target=target, place=self._place, alerts=self._alerts))
        AsyncRemembered.__init__(self, self._backend, environment)

    @property
    def path(self) -> Path:
        """As it was given, made absolute."""
        return self._path

    def _backend(self) -> Backend:
        return backend_of(self._path, self.environment)

    async def _place(self) -> operating.Place:
        return await operating.find_place(self._path, self.environment)

    def _alerts(self, address: str) -> Mapping[str, int]:
        return status.alerts_of(self._path, self.environment, self._grounds.process, address)
